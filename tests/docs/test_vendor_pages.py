"""The vendors' pages in docs/vendors: their curl calls are made, and answer what the pages say."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billsmith.accounts.authorisation import CredentialKind
from tests.support.house import House
from tests.vendors.hostway import calls as hostway
from tests.vendors.myreports import test_example as myreports

PAGES = Path(__file__).parents[2] / "docs" / "vendors"


def calls(page: str) -> Iterator[tuple[str, str]]:
    """Each command of a page's console blocks, with the output below it."""
    for block in re.findall(r"```console\n(.*?)```", (PAGES / page).read_text(), re.DOTALL):
        for part in block.split("$ curl ")[1:]:
            command, _, output = part.partition("\n")
            yield command, output.strip()


def run(house: House, command: str, variables: dict[str, str]) -> str:
    """What curl would print."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    words = iter(shlex.split(command))
    url, auth, form, headers, shown = "", None, None, {}, ""
    for word in words:
        if word == "-u":
            user, _, password = next(words).partition(":")
            auth = (user, password)
        elif word == "-d":
            form = dict([next(words).split("=", 1)])
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-w":
            shown = next(words)
        elif word == "-o":
            next(words)
        elif word != "-s":
            url = word
    answer = house.client.request("POST" if form else "GET", url, auth=auth, data=form, headers=headers)
    if shown:
        return shown.replace("%{http_code}", str(answer.status_code)).replace(
            "%{redirect_url}\\n", answer.headers.get("location", "")
        )
    return answer.text.strip()


def same(printed: str, output: str) -> bool:
    """Equal but for the secret that a token is."""
    try:
        came, page = json.loads(printed), json.loads(output)
    except ValueError:
        return printed == output
    if "access_token" in came:
        came["access_token"] = page["access_token"]
    return json.dumps(came) == json.dumps(page)


def test_myreports(sqlite_house: House) -> None:
    enterprise = sqlite_house.account("Enterprise", external_id="enterprise")
    myreports.bring_in(sqlite_house, myreports.example(), enterprise)
    client_id, secret = sqlite_house.key(enterprise, CredentialKind.OAUTH_CLIENT)
    token = sqlite_house.myreports_token(enterprise)["Authorization"].removeprefix("Bearer ")
    check(sqlite_house, "myreports.md", {"CLIENT_ID": client_id, "CLIENT_SECRET": secret, "TOKEN": token})


def test_hostway(sqlite_house: House) -> None:
    account = sqlite_house.account(
        "Test account",
        external_id="test731993",
        id="8d2f5a10-3c4b-4e6f-9a7d-1b0c2e3f4a5b",
        currency="USD",
        time_zone="America/Chicago",
    )
    for name in ("invoices", "invoices-page"):
        report = hostway.bring_in(sqlite_house, hostway.example(name)["list"], account)
        assert report.added == 1
    user, password = sqlite_house.hostway_user(account)
    check(sqlite_house, "hostway.md", {"HOSTWAY_USER": user, "HOSTWAY_PASSWORD": password})


def check(house: House, page: str, variables: dict[str, Any]) -> None:
    found = list(calls(page))
    assert len(found) >= 4
    for command, output in found:
        printed = run(house, command, variables)
        assert same(printed, output), f"{page}: curl {command}\nprints\n{printed}"


def test_a_page_that_says_something_else_is_seen() -> None:
    assert not same('{"a":1,"b":2}', '{"b":2,"a":1}')
    assert not same("303 there", "303 elsewhere")
    with pytest.raises(StopIteration):
        next(calls("../decisions/README.md"))
