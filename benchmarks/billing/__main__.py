"""``python -m benchmarks.billing [--quick] [--engine E] [--accounts N …] [--present N]``; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import sys

from benchmarks.billing import issuing, run
from benchmarks.billing.data import Size


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.billing", description=__doc__)
    parser.add_argument("what", nargs="*", choices=["run", "issuing", []], help="one of them; else both")
    parser.add_argument("--quick", action="store_true", help="2,000 accounts, 20,000 invoices present, a second each")
    parser.add_argument("--engine", action="append", choices=["sqlite", "postgres"])
    parser.add_argument("--accounts", type=int, action="append")
    parser.add_argument("--meters", type=int, default=30)
    parser.add_argument("--present", type=int)
    options = parser.parse_args()
    engines = tuple(options.engine or ("sqlite", "postgres"))
    counts = options.accounts or ([2_000] if options.quick else [10_000, 100_000])
    present = options.present if options.present is not None else 20_000 if options.quick else 1_000_000
    sizes = tuple(Size(count, options.meters, present) for count in counts)
    if "run" in (options.what or ["run"]):
        run.run(engines, sizes, say)
    if "issuing" in (options.what or ["issuing"]):
        issuing.run(engines, sizes[0], 1.0 if options.quick else 5.0, say)


if __name__ == "__main__":
    sys.exit(main())
