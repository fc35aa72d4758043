"""``billsmith catalog check FILE``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from billsmith.cli.catalog import check
from billsmith.cli.common import Common
from billsmith.units.errors import InvalidCatalog

EXAMPLES = Path(__file__).parents[2] / "src/billsmith/catalog/examples"


def test_a_good_catalog_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    check(EXAMPLES / "api-company.yaml", common=Common(json=True))
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "code": "acme-api",
        "version": 1,
        "currency": "EUR",
        "meters": 2,
        "price_books": 0,
        "plans": 2,
        "add_ons": 1,
        "coupons": 2,
        "tax_rates": 2,
    }


@pytest.mark.parametrize(
    ("content", "where", "code"),
    [
        (b"code: c\ncurrency: EUX\n", "bad.yaml:2 currency", "currency.unknown"),
        (b"code: \xff\n", "bad.yaml", "catalog.not_text"),
        (b"", "bad.yaml", "catalog.empty"),
    ],
)
def test_a_fault_is_raised_with_its_place(tmp_path: Path, content: bytes, where: str, code: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidCatalog) as error:
        check(path)
    assert (error.value.where, error.value.code) == (where, code)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        check(tmp_path / "none.yaml")
