"""The published schema accepts what the reader accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from tests.docs.generate import ROOT, catalog_json_schema
from tests.support.prices import PRICES, Spelled

SCHEMA: dict[str, Any] = json.loads(catalog_json_schema())
EXAMPLES = sorted((ROOT / "src/billsmith/catalog/examples").glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_as_an_editor_sees_it(path: Path) -> None:
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"code": "c"},
        {"code": "c", "currency": "EUR", "colour": "red"},
        {"code": "c", "currency": "EUR", "plans": [{"code": "p", "fees": [{"code": "f", "price": {"model": "flat"}}]}]},
        {
            "code": "c",
            "currency": "EUR",
            "plans": [{"code": "p", "fees": [{"code": "f", "price": {"model": "x", "amount": 1}}]}],
        },
        {"code": "c", "currency": "EUR", "plans": [{"code": "p", "interval": "yearz"}]},
        {"code": "c", "currency": "EUR", "meters": [{"code": "m", "event_type": "e", "aggregation": "cuont"}]},
    ],
)
def test_a_fault_is_underlined(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(wrong)


@settings(max_examples=200, deadline=None)
@given(PRICES)
def test_every_price_that_can_be_read_is_valid(spelled: Spelled) -> None:
    VALIDATOR.validate({"code": "c", "currency": "EUR", "price_books": [{"code": "b", "prices": {"m": spelled}}]})
