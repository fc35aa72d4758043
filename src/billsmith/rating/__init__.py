"""What it costs. See README.md."""

from billsmith.rating.charge import Charge
from billsmith.rating.context import Context
from billsmith.rating.rate import rate

__all__ = ["Charge", "Context", "rate"]
