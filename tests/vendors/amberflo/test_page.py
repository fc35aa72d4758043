"""docs/vendors/amberflo.md says what happens: its calls give its answers, its program runs."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from metering.session import ApiSession

from billsmith.accounts.authorisation import CredentialKind
from billsmith.accounts.model import Account
from tests.support.house import House
from tests.vendors.amberflo.support import CUSTOMER, bring_in, key, running

PAGE = (Path(__file__).parents[3] / "docs" / "vendors" / "amberflo.md").read_text("utf-8")
CALL = re.compile(
    r"^\$ curl [^\n]*'http://127\.0\.0\.1:8080(/[^']+)'(?: \|\n    python3 -c \"([^\"]+)\")?\n(.+?)(?=\n\n|\n```)",
    re.MULTILINE | re.DOTALL,
)


def northwind(house: House) -> Account:
    account = house.account(
        "Northwind", id="0b7c9a52-6f0e-4d55-8f43-5a6c2b1d9e10", external_id="northwind", currency="USD", time_zone="UTC"
    )
    bring_in(house, account)
    return account


@pytest.mark.parametrize(("path", "program", "output"), CALL.findall(PAGE))
def test_a_call_of_the_page(sqlite_house: House, path: str, program: str, output: str) -> None:
    auth = key(sqlite_house, northwind(sqlite_house))
    answer = sqlite_house.client.get(path, headers=auth).text
    if program:
        run = subprocess.run([sys.executable, "-c", program], input=answer, capture_output=True, text=True, check=True)
        answer = run.stdout.rstrip("\n")
    assert answer == output


def test_the_page_has_calls() -> None:
    assert len(CALL.findall(PAGE)) == 4


def test_the_program_of_the_page(sqlite_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    program = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)[0]
    account = northwind(sqlite_house)
    _, secret = sqlite_house.key(account, CredentialKind.API_KEY)
    monkeypatch.setattr(ApiSession, "root_url", ApiSession.root_url)  # put back afterwards
    printed = io.StringIO()
    with running(sqlite_house) as url, contextlib.redirect_stdout(printed):
        exec(program.replace("http://127.0.0.1:8080", url), {"KEY": secret})
    assert [line.split()[0] for line in printed.getvalue().splitlines()] == [CUSTOMER, CUSTOMER]
