"""docs/api.md: its calls are made, and what it shows is what comes back."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

from billsmith.accounts.authorisation import CredentialKind, Scope
from tests.support.house import House

GUIDE = Path(__file__).parents[2] / "docs" / "api.md"
_CALLS = re.compile(r"```sh\n(.*?)```\s+```json\n(.*?)```", re.DOTALL)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECRET = re.compile(r"bs_[\w-]{43}")


def run(house: House, command: str, variables: dict[str, str]) -> Any:
    """What curl would get."""
    words = shlex.split(command.replace("\\\n", " "))
    words = [re.sub(r"\$([A-Z]+)", lambda match: variables[match[1]], word) for word in words]
    assert words.pop(0) == "curl"
    method, url, headers, body = "GET", "", {}, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0).encode()
        else:
            url = word
    return house.client.request(method, url, headers=headers, content=body).json()


def same(shown: Any, got: Any) -> bool:
    """Whether what the guide shows is part of what came back; ids and secrets are others each time."""
    if isinstance(shown, dict):
        return isinstance(got, dict) and all(name in got and same(value, got[name]) for name, value in shown.items())
    if isinstance(shown, list):
        return isinstance(got, list) and len(shown) == len(got) and all(map(same, shown, got))
    for kind in (_UUID, _SECRET):
        if isinstance(shown, str) and kind.fullmatch(shown):
            return isinstance(got, str) and kind.fullmatch(got) is not None
    return bool(shown == got)


def test_the_guides_calls_answer_as_it_says(house: House) -> None:
    _, key = house.key(house.account("Reseller", external_id="reseller"), CredentialKind.API_KEY, list(Scope))
    variables = {"KEY": key}
    calls = _CALLS.findall(GUIDE.read_text("utf-8"))
    assert len(calls) == 6
    for command, shown in calls:
        got = run(house, command, variables)
        assert same(json.loads(shown), got), f"{command}\nshown: {shown}\ngot: {json.dumps(got)}"
        if got.get("number"):
            variables["INVOICE"] = got["id"]


def test_what_is_shown_is_compared() -> None:
    assert not same({"a": 1}, {"a": 2})
    assert not same({"a": 1}, {})
    assert not same([1], [1, 2])
    assert not same("bs_" + "x" * 43, "another")
    assert same({"a": ["0c2b1b4e-0f0a-4ad2-9d5e-0b8a6a1f5b7c"]}, {"a": ["60d94c83-9656-8e04-b7c6-80e0044f9f49"], "b": 1})


def test_every_status_and_filter_stands_in_the_guide() -> None:
    from billsmith.api.invoices import LIST_QUERY
    from billsmith.api.openapi import _ERRORS

    text = GUIDE.read_text("utf-8")
    for parameter in LIST_QUERY:
        assert f"`{parameter.name}`" in text, parameter.name
    for status in set(_ERRORS) - {405}:
        assert str(status) in text, status
