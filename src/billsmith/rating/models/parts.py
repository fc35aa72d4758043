"""What the models that hold other prices give: the parts of the usage, each with its price."""

from __future__ import annotations

import msgspec

from billsmith.catalog.price import Price
from billsmith.rating.usage import Usage


class Piece(msgspec.Struct, frozen=True, gc=False):
    """Usage that is priced on its own, and what to call it in the trace."""

    label: str
    price: Price
    usage: Usage
