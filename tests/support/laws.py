"""How many examples a law of the core is tried on: 2,000, or what BILLSMITH_EXAMPLES says (`make mutants` takes few)."""

from __future__ import annotations

import os

EXAMPLES = int(os.environ.get("BILLSMITH_EXAMPLES", "2000"))
