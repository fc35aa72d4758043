"""P20: whatever tenants typed, no output of the command line acts on it. Every form, every string field."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from billsmith.cli import output
from billsmith.documents import inert
from billsmith.documents.inert import csv_cell, json_text, visible
from tests.cli.run import Program

#: What a spreadsheet would compute.
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "＝1+1",
    "＋1",
    "－1+1",
    "＠x",
    " =1+1",
    "\t=1",
    "−1+1",
    "a;=1+1",
    '=HYPERLINK("x")',
]
#: What a terminal would act on, or a reader be misled by.
ACTIVE = ["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\u202etxt.exe", "\u2066x", "a\u200bb", "\x7f", "\u2028", "\U000e0041"]
MARKUP = ["[red]x[/red]", "[link=file:///etc/passwd]x[/link]", ":smile:", "[/]", "\\[x]", "<b>x</b>", "[@click=app.bell]x[/]"]

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠−]")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\U000e0000-\U000e007f]")


def active_cells(table: str) -> list[str]:
    """Cells that a spreadsheet would read as a formula, whatever it takes for the separator."""
    cells = [cell for row in csv.reader(io.StringIO(table)) for cell in row]
    cells += [piece.strip('"') for line in table.splitlines() for piece in line.split(";")[1:]]
    return [cell for cell in cells if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)]


@pytest.mark.parametrize(("text", "cell"), [
    *[(formula, None) for formula in FORMULAS],
    ("-12.50", "-12.50"), ("-3", "-3"), ("12", "12"), ("Müller & Söhne", "Müller & Söhne"), ("a-b", "a-b"), ("", ""),
    ("1e5", "1e5"), ("-1e5", "'-1e5"), ("--1", "'--1"), ("a;b", "a;b"),
])  # fmt: skip
def test_a_csv_cell_is_never_a_formula_and_a_number_stays_one(text: str, cell: str | None) -> None:
    if cell is not None:
        assert csv_cell(text) == cell
    table = io.StringIO()
    csv.writer(table).writerow([csv_cell(text)])
    assert active_cells(table.getvalue()) == []


@pytest.mark.parametrize("text", FORMULAS)
def test_control_a_cell_as_it_was_typed_is_seen_as_a_formula(text: str) -> None:
    table = io.StringIO()
    csv.writer(table).writerow([text])
    assert active_cells(table.getvalue()) != []


@pytest.mark.parametrize("text", ACTIVE)
def test_nothing_that_a_terminal_acts_on_is_left(text: str) -> None:
    for shown in (visible(text), csv_cell(text), json_text({"name": text})):
        assert not _CONTROL.search(shown)
    assert json.loads(json_text({"name": text})) == {"name": text}


def stocked(program: Program, text: str) -> None:
    """A store with ``text`` in every field that takes it."""
    make = (
        "accounts", "create", f"--external-id={text}", "--currency", "EUR", "--timezone", "UTC", f"--billing-entity={text}",
        f"--city={text}", f"--line1={text}", f"--tax-id={text}", "--json", "--", text,
    )  # fmt: skip
    made = program(*make)
    assert made.code == 0, made.err
    account = made.json["id"]
    program.json("keys", "create", account, "--kind", "api-key", f"--label={text}")
    row = {
        "Id": "e96e60a2-3fec-44f7-86b7-050a8103b431", "Customer": "ce570f06-f444-426b-b9b0-3aa8ef9b951e", "CustomerName": text,
        "BillingEntityName": text, "CreationDate": "2024-10-10T07:55:09.3546699+00:00", "ScheduledAt": "2024-10-10T00:00:00",
        "InvoiceNumber": text, "BatchNumber": "1", "Total": -12.50, "PaymentStatus": False, "InvoicedBy": text, "PaymentMethod": text,
    }  # fmt: skip
    report = program("import", "acronis", "-", "--account", account, "--json", stdin=json.dumps({"Invoices": [row]}).encode())
    if report.code == 0:
        invoice = program.json("invoices", "list")[0]["id"]
        program.json("invoices", "void", invoice, f"--reason={text}")


def outputs(program: Program, invoices: bool = True) -> list[str]:
    """Everything that the command line says of a store."""
    said = []
    for command in (("accounts", "list"), ("keys", "list"), ("invoices", "list"), ("verify",)):
        for form in ((), ("--json",), ("--csv",), ("--ids",)):
            ran = program(*command, *form)
            said += [ran.out, ran.err]
    for id in program("invoices", "list", "--ids").out.split():
        said += [program("invoices", "show", id, *form).out for form in ((), ("--json",), ("--csv",))]
    return said


@pytest.mark.parametrize("text", [*(formula.strip() for formula in FORMULAS), *MARKUP, "\u202etxt.exe", "a\u200bb", "⁦x"])
def test_every_output_of_every_field_is_inert(program: Program, text: str) -> None:
    stocked(program, text)
    said = outputs(program)
    assert not any(_CONTROL.search(piece) for piece in said)
    for command in (("accounts", "list"), ("keys", "list"), ("invoices", "list")):
        assert active_cells(program(*command, "--csv").out) == []
    people = program("accounts", "list").out
    assert visible(text) in people


@pytest.mark.parametrize("text", ["[red]x[/red]", "[link=file:///etc/passwd]x[/link]", ":smile:"])
def test_control_markup_that_is_read_as_markup_would_change_the_text(
    program: Program, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    from rich.text import Text

    stocked(program, text)
    monkeypatch.setattr(output, "_cell", lambda value: Text.from_markup(str(value)))
    assert text not in program("accounts", "list").out


def test_control_without_escapes_a_terminal_would_act(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked(program, "\u202etxt.exe")
    monkeypatch.setattr(inert, "_ACTIVE", re.compile("(?!)"))
    assert any(_CONTROL.search(piece) for piece in outputs(program))


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x07", "a\nb", "\x9b2J"])
def test_an_error_shows_what_was_typed_without_acting_on_it(program: Program, text: str) -> None:
    for command in (
        ("accounts", "show", text),
        ("accounts", "list", f"--{text}"),
        (text,),
        ("import", "acronis", text, "--account", "a"),
    ):
        ran = program(*command)
        assert ran.code in (2, 3)
        assert not _CONTROL.search(ran.err + ran.out)
