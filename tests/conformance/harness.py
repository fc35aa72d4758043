"""Runs worked examples of other systems through the engine's public functions and counts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import tests.conformance.adapters  # noqa: F401 (fills the registry)
from tests.conformance.compare import equal
from tests.conformance.registry import Given, NotSupported, answer

DEFAULT = Path(__file__).parents[1] / "cases" / "vectors" / "worked-examples.jsonl"


class Verdict(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    NOT_SUPPORTED = "not supported"


class Result(NamedTuple):
    id: str
    kind: str
    verdict: Verdict
    detail: str = ""


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The cases of a file of JSON lines."""
    for line in path.read_text("utf-8").splitlines():
        if line.strip():
            yield json.loads(line, parse_float=str)


def run_case(case: dict[str, Any]) -> Result:
    """Run one case. An error of any kind is a failure of that case alone."""
    name, kind = str(case.get("id", "?")), str(case.get("kind", "?"))
    try:
        given = Given(case["input"])
        got, expected = answer(kind, given, case["expected"])
        if equal(got, expected):
            return Result(name, kind, Verdict.PASSED)
        unread = f" (keys that the adapter didn't read: {', '.join(given.unread)})" if given.unread else ""
        return Result(name, kind, Verdict.FAILED, f"expected {expected}, got {got}{unread}")
    except NotSupported as reason:
        return Result(name, kind, Verdict.NOT_SUPPORTED, str(reason))
    except Exception as error:
        return Result(name, kind, Verdict.FAILED, f"{type(error).__name__}: {error}")


def run(paths: Iterable[Path]) -> list[Result]:
    """Run every case of every file, in order."""
    return [run_case(case) for path in paths for case in read(path)]


def report(results: list[Result]) -> list[str]:
    """What didn't pass, a line per kind, and the sum; the last line is the one that scripts read."""
    lines = [
        f"{result.id} {result.kind}: {result.verdict}: {result.detail}" for result in results if result.verdict != "passed"
    ]
    kinds = dict.fromkeys(result.kind for result in results)
    lines += [f"{kind}: {_counts([result for result in results if result.kind == kind])}" for kind in kinds]
    passed, failed, unsupported = _tally(results)
    lines.append(f"{passed}/{len(results)} passed, {failed} failed, {unsupported} not supported")
    return lines


def _tally(results: list[Result]) -> list[int]:
    return [sum(result.verdict is verdict for result in results) for verdict in Verdict]


def _counts(results: list[Result]) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in zip(Verdict, _tally(results), strict=True))
