"""``python -m benchmarks [--quick] [--engine …] [--face …]``: run the benchmarks, print them, keep them as JSON."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from pathlib import Path

import msgspec

from benchmarks import rating
from benchmarks.lists import run as lists

RESULTS = Path(__file__).parent / "results"


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Benchmarks; see benchmarks/README.md.")
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds: minutes instead of a quarter of an hour")
    parser.add_argument("--engine", action="append", choices=lists.FULL.engines, help="only this engine (may be repeated)")
    parser.add_argument("--face", action="append", choices=lists.FULL.faces, help="only this face (may be repeated)")
    options = parser.parse_args()
    plan = lists.QUICK if options.quick else lists.FULL
    plan = msgspec.structs.replace(plan, engines=tuple(options.engine or plan.engines), faces=tuple(options.face or plan.faces))
    machine = {"python": platform.python_version(), "system": platform.platform(), "cores": os.cpu_count()}
    rated = rating.measure(1_000 if options.quick else 10_000)
    for name, value in rated.items():
        say(f"{name}: {value:,}")
    results = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine,
        "rating": rated,
        "lists": lists.run(plan, say),
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{results['at'].replace(':', '')}.json"  # type: ignore[attr-defined]
    file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    say(f"\nkept in {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")


if __name__ == "__main__":
    sys.exit(main())
