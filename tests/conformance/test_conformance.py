"""Every worked example passes, and the harness can see one that doesn't."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from tests.conformance.__main__ import main
from tests.conformance.compare import equal
from tests.conformance.harness import DEFAULT, Verdict, read, run_case

CASES = list(read(DEFAULT))


@pytest.mark.parametrize("case", CASES, ids=[f"{case['id']}-{case['kind']}" for case in CASES])
def test_case(case: dict) -> None:
    result = run_case(case)
    assert result.verdict is Verdict.PASSED, result.detail


def test_numbers_compare_exactly() -> None:
    assert equal(Fraction(2, 7), "8/28")
    assert equal(3, "3.0")
    assert not equal("0.1000001", "0.1")
    assert not equal(None, "0")


def test_only_named_keys_count_and_items_that_the_answer_lacks_are_zero() -> None:
    assert equal({"total": 1, "more": 2}, {"total": "1"})
    assert not equal({"more": 2}, {"total": "0"})
    assert equal({"balances": {"g1": 5, "g2": 0}}, {"balances": {"g1": "5"}})
    assert equal({"balances": {"g1": 5}}, {"balances": {"g1": "5", "g2": "0"}})
    assert not equal({"balances": {"g1": 5}}, {"balances": {"g1": "5", "g2": "1"}})


def test_a_wrong_expectation_fails_and_an_unknown_kind_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The negative control: the same cases with every expectation off by one."""
    good = next(case for case in CASES if case["kind"] == "per_unit")
    cases = [
        good,
        {**good, "expected": "123456789"},
        {**good, "kind": "astrology"},
        {**good, "input": {**good["input"], "moon": "full"}},
    ]
    path = tmp_path / "cases.jsonl"
    path.write_text("\n".join(map(json.dumps, cases)))
    assert main(["--vectors", str(path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2/4 passed, 1 failed, 1 not supported"
    path.write_text(json.dumps(good))
    assert main(["--vectors", str(path), "--vectors", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2/2 passed, 0 failed, 0 not supported"
