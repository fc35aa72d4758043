"""``billsmith catalog check FILE``."""

from __future__ import annotations

from pathlib import Path

import pytest

from billsmith.cli.catalog import EXIT_BAD_DATA, EXIT_NO_FILE, check

EXAMPLES = Path(__file__).parents[2] / "src/billsmith/catalog/examples"


def test_a_good_catalog_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(EXAMPLES / "api-company.yaml") == 0
    summary = "acme-api version 1, EUR: 2 meters, 0 price books, 2 plans, 1 add-on, 2 coupons, 2 tax rates\n"
    assert capsys.readouterr().out == summary


def test_a_fault_goes_to_stderr_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("code: c\ncurrency: EUX\n")
    assert check(path) == EXIT_BAD_DATA
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("bad.yaml:2 currency: ")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_is_not_there_or_not_text(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)
    assert check(path) == EXIT_NO_FILE
    assert "can't be read" in capsys.readouterr().err
