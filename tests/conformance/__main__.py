"""``python -m tests.conformance [--vectors PATH …]``: exit code 0 only if every case passes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.conformance.harness import DEFAULT, Verdict, report, run


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description="run worked examples of other systems")
    parser.add_argument("--vectors", action="append", type=Path, metavar="PATH", help="a file of cases; repeatable")
    paths = parser.parse_args(arguments).vectors or [DEFAULT]
    results = run(paths)
    print("\n".join(report(results)))
    return 0 if all(result.verdict is Verdict.PASSED for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
