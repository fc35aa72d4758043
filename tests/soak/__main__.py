"""``python -m tests.soak [NAME …] [--workers N]``: every sweep, or those named; exit code 0 if none found a fault."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    failed = False
    for name in options.names or NAMES:
        found = import_module(f"tests.soak.{name}").run(options.workers)
        failed |= bool(found)
        print(f"{name}: {len(found)} faults", *found[:20], sep="\n  ", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
