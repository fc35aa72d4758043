"""Single fields of an Amberflo invoice that our model lacks, as they are kept beside it under the vendor's names.

None of them says anything that the model has: no amount owed, no date of the invoice, no status.
"""

from __future__ import annotations

import msgspec

from billsmith.invoicing.model import Invoice
from billsmith.vendors.amberflo.shapes import Extras

VENDOR = "amberflo"


_NONE = Extras()


def of(invoice: Invoice) -> Extras:
    """What is kept beside an invoice."""
    kept = invoice.extras.get(VENDOR)
    if not kept:
        return _NONE
    return msgspec.convert({name: msgspec.json.decode(raw) for name, raw in kept.items()}, Extras)


def keep(extras: Extras) -> dict[str, dict[str, msgspec.Raw]]:
    """Extras as an invoice carries them; nothing where all is as everywhere."""
    kept = msgspec.json.decode(msgspec.json.encode(extras), type=dict[str, msgspec.Raw])
    return {VENDOR: {name: msgspec.Raw(bytes(raw)) for name, raw in kept.items()}} if kept else {}
