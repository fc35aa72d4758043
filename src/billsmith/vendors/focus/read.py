"""Rows of a FOCUS file as documents: one for each sub-account, issuer, currency and billing period.

The file is read row by row; what is held is a sum for each line of each document. The amount of a row is its ``BilledCost``,
exactly. A row that can't be read refuses every document that it may belong to, so that none comes in short.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import BinaryIO, NamedTuple

from billsmith.accounts.model import MAX_EXTERNAL_ID, MAX_NAME, is_clean_text
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, LineKind, Period, RoundingPlace
from billsmith.invoicing.totals import DraftLine, total
from billsmith.units.currency import currency_exponent
from billsmith.units.errors import BillsmithError, Invalid, TooLarge
from billsmith.units.ids import derived_id
from billsmith.units.instants import format_instant, local_date, parse_instant
from billsmith.units.rounding import EXACT, parse_decimal, plain
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError
from billsmith.workflows.issue_invoice import MAX_LINES, MAX_TOTAL_MINOR

VENDOR = "focus"

MAX_COLUMNS = 500
#: Characters of one physical line of the file.
MAX_ROW = 1024 * 1024
#: Places after the point of a cost; clouds write ten and more.
MAX_PLACES = 30
MAX_SERVICE = 200
#: Sums held at once, over all documents.
MAX_SUMS = 1_000_000
MAX_ERRORS = 10_000

_KINDS = {
    "Usage": LineKind.USAGE,
    "Purchase": LineKind.FEE,
    "Tax": LineKind.FEE,
    "Credit": LineKind.CREDIT,
    "Adjustment": LineKind.ADJUSTMENT,
}
_REQUIRED = (
    "BilledCost",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "InvoiceIssuerName",
    "ServiceName",
    "SubAccountId",
)


class _Key(NamedTuple):
    """Which document a row belongs to. An empty sub-account is the importing account itself."""

    sub_account: str
    issuer: str
    currency: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """How an error names the document."""
        whose = f"sub-account {self.sub_account}" if self.sub_account else "no sub-account"
        period = f"{format_instant(self.start)} to {format_instant(self.end)}"
        return f"{whose}, {self.issuer}, {self.currency}, {period}"


#: What is known of the document of a row that can't be read; ``None``: unknown.
_Known = tuple[str | int | None, ...]


class _Sum:
    """One line of a document to be."""

    __slots__ = ("amount", "rows")

    def __init__(self) -> None:
        self.amount = Decimal(0)
        self.rows = 0


class _Document:
    """One document to be: its lines' sums by service and charge category, in the order of the file."""

    __slots__ = ("name", "sums", "where")

    def __init__(self, where: str, name: str) -> None:
        self.where = where
        self.name = name
        self.sums: dict[tuple[str, str], _Sum] = {}


def read(source: BinaryIO, *, currency: str | None = None) -> Iterator[Imported | RowError]:
    """The documents of a file; rows that can't be read, and the documents they refuse, as :class:`RowError`.

    ``currency`` is for rows that name none. Raises ``Invalid`` when the file is no FOCUS file, ``TooLarge`` past a limit.
    """
    reading = _Reading(currency)
    reading.take(source)
    yield from reading.errors
    for key, document in reading.documents.items():
        suspect = reading.suspect_of(key)
        if suspect:
            yield RowError(
                where=document.where,
                code="focus.document_refused",
                message=f"the document of {key.name} is not brought in: {suspect} may belong to it and can't be read",
            )
            continue
        try:
            yield _imported(key, document)
        except BillsmithError as error:
            yield RowError(where=document.where, code=error.code, message=f"the document of {key.name}: {error.message}")


class _Reading:
    """A file as it is read."""

    def __init__(self, currency: str | None) -> None:
        self.currency = currency
        self.documents: dict[_Key, _Document] = {}
        self.errors: list[RowError] = []
        self.suspects: dict[_Known, str] = {}
        self.sums = 0

    def take(self, source: BinaryIO) -> None:
        text = io.TextIOWrapper(source, encoding="utf-8-sig", newline="")
        try:
            rows = csv.reader(_lines(text), strict=True)
            header = next(rows, [])
            columns = _columns(header)
            for row in rows:
                if row:
                    self.row(row, columns, len(header), f"line {rows.line_num}")
        except UnicodeDecodeError:
            raise Invalid("the file is not text in UTF-8", code="focus.not_text") from None
        except csv.Error as error:
            raise Invalid(f"the file is not CSV after line {rows.line_num}: {error}", code="focus.not_csv") from None
        finally:
            text.detach()

    def row(self, row: Sequence[str], columns: dict[str, int], width: int, where: str) -> None:
        if len(row) != width:
            self.refuse(
                (None,) * len(_Key._fields),
                where,
                Invalid(f"{len(row)} cells where the header has {width}", code="focus.cells"),
            )
            return
        cells = {name: _cell(row[index]) for name, index in columns.items()}
        parts = [_attempt(cells, part, self.currency) for part in _PARTS]
        problem = next((part for part in parts if isinstance(part, BillsmithError)), None)
        try:
            if problem is not None:
                raise problem
            key = _Key(*parts)  # type: ignore[arg-type]
            if key.end <= key.start:
                raise Invalid("the billing period ends before it starts", code="focus.period", where="BillingPeriodEnd")
            self.add(key, cells, where)
        except TooLarge:
            raise
        except BillsmithError as error:
            self.refuse(tuple(None if isinstance(part, BillsmithError) else part for part in parts), where, error)

    def add(self, key: _Key, cells: dict[str, str], where: str) -> None:
        cost = parse_decimal(_needed(cells, "BilledCost"), max_places=MAX_PLACES, where="BilledCost")
        service = _text(_needed(cells, "ServiceName"), "ServiceName", MAX_SERVICE)
        category = _needed(cells, "ChargeCategory")
        if category not in _KINDS:
            raise Invalid(
                f"{category[:40]!r} is none of {', '.join(_KINDS)}", code="focus.charge_category", where="ChargeCategory"
            )
        name = _text(cells.get("SubAccountName", ""), "SubAccountName", MAX_NAME)
        document = self.documents.setdefault(key, _Document(where, name))
        line = document.sums.get((service, category))
        if line is None:
            self.sums += 1
            if self.sums > MAX_SUMS:
                raise TooLarge(f"the file makes more than {MAX_SUMS} lines; split it", code="focus.too_many_lines")
            line = document.sums[service, category] = _Sum()
        line.amount = EXACT.add(line.amount, cost)
        line.rows += 1

    def refuse(self, known: _Known, where: str, error: BillsmithError) -> None:
        if len(self.errors) >= MAX_ERRORS:
            raise TooLarge(f"more than {MAX_ERRORS} rows can't be read; is this a FOCUS file?", code="focus.too_many_errors")
        self.errors.append(
            RowError(where=f"{where}, {error.where}" if error.where else where, code=error.code, message=error.message)
        )
        self.suspects.setdefault(known, where)

    def suspect_of(self, key: _Key) -> str:
        """Where the first row stands that can't be read and may belong to this document; empty when there is none."""
        return next((where for known, where in self.suspects.items() if _may_be(known, key)), "")


def _may_be(known: _Known, key: _Key) -> bool:
    return all(part is None or part == other for part, other in zip(known, key, strict=True))


def _imported(key: _Key, document: _Document) -> Imported:
    if len(document.sums) > MAX_LINES:
        raise TooLarge(f"it has more than {MAX_LINES} lines", code="invoice.too_many_lines")
    period = Period(key.start, key.end)
    drafts = [_draft(service, category, line) for (service, category), line in document.sums.items()]
    sums = total(drafts, currency=key.currency, place=RoundingPlace.INVOICE)
    if max(abs(amount) for amount in (sums.total_minor, *(line.amount_minor for line in sums.lines))) > MAX_TOTAL_MINOR:
        raise Invalid("the amounts are too large to be owed", code="invoice.too_large")
    vendor_key = derived_id(VENDOR, *map(str, key))
    owed = sums.total_minor != 0
    return Imported(
        where=document.where,
        vendor=VENDOR,
        vendor_key=vendor_key,
        recipient=key.sub_account or None,
        recipient_name=document.name,
        invoice=Invoice(
            id="",
            issuer_id="",
            recipient_id="",
            kind=InvoiceKind.CREDIT_NOTE if sums.total_minor < 0 else InvoiceKind.INVOICE,
            number=f"FOCUS-{local_date(key.start, 'UTC').isoformat()}-{vendor_key[:8]}",
            status=InvoiceStatus.ISSUED if owed else InvoiceStatus.PAID,
            currency=key.currency,
            total_minor=sums.total_minor,
            customer_name=document.name,
            billing_entity=key.issuer,
            date=local_date(key.end, "UTC"),
            period=period,
            created_at=key.end,
            issued_at=key.end,
            paid_at=None if owed else key.end,
            content=Content(issuer=NOBODY, recipient=NOBODY, lines=sums.lines, rounding_place=RoundingPlace.INVOICE),
        ),
    )


def _draft(service: str, category: str, line: _Sum) -> DraftLine:
    rows = "row" if line.rows == 1 else "rows"
    return DraftLine(
        description=service if category == "Usage" else f"{service}: {category.lower()}",
        amount=line.amount,
        kind=_KINDS[category],
        component=service,
        dimensions={"ChargeCategory": category},
        trace=(f"BilledCost of {line.rows} {rows}, {plain(line.amount)} before rounding",),
    )


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(MAX_ROW + 1):
        if len(line) > MAX_ROW:
            raise TooLarge(f"a line of the file has more than {MAX_ROW} characters", code="focus.row_too_long")
        yield line


def _columns(header: Sequence[str]) -> dict[str, int]:
    if len(header) > MAX_COLUMNS:
        raise TooLarge(f"the header has more than {MAX_COLUMNS} columns", code="focus.too_many_columns")
    missing = [name for name in _REQUIRED if name not in header]
    if missing:
        raise Invalid(f"the header lacks {', '.join(missing)}", code="focus.columns")
    repeated = [name for name in (*_REQUIRED, "SubAccountName") if header.count(name) > 1]
    if repeated:
        raise Invalid(f"the header has {', '.join(repeated)} twice", code="focus.columns")
    return {name: header.index(name) for name in (*_REQUIRED, "SubAccountName") if name in header}


def _cell(text: str) -> str:
    trimmed = text.strip()
    return "" if trimmed == "NULL" else trimmed


def _needed(cells: dict[str, str], name: str) -> str:
    if not cells[name]:
        raise Invalid("is absent", code="focus.absent", where=name)
    return cells[name]


def _text(text: str, where: str, limit: int) -> str:
    if len(text) > limit:
        raise Invalid(f"has more than {limit} characters", code="input.too_long", where=where)
    if not is_clean_text(text):
        raise Invalid("holds a control character", code="input.control_character", where=where)
    return text


_PARTS = _Key._fields


def _attempt(cells: dict[str, str], part: str, currency: str | None) -> str | int | BillsmithError:
    """One part of a row's key, or why it can't be read."""
    try:
        if part == "sub_account":
            return _text(cells["SubAccountId"], "SubAccountId", MAX_EXTERNAL_ID)
        if part == "issuer":
            return _text(_needed(cells, "InvoiceIssuerName"), "InvoiceIssuerName", MAX_NAME)
        if part == "currency":
            code = cells["BillingCurrency"] or currency or _needed(cells, "BillingCurrency")
            currency_exponent(code)
            return code
        column = "BillingPeriodStart" if part == "start" else "BillingPeriodEnd"
        return _instant(_needed(cells, column), column)
    except BillsmithError as error:
        return error


def _instant(text: str, where: str) -> int:
    instant = parse_instant(text, zone_missing="UTC", where=where)
    if not -(2**63) <= instant < 2**63:
        raise Invalid("lies outside the years 1678 to 2262", code="time.out_of_range", where=where)
    return instant
