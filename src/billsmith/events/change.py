"""What is to be changed of an event that was sent wrong."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.events.canonical import canonical
from billsmith.events.event import Event
from billsmith.units.values import Value


class Change(Value, frozen=True, kw_only=True):
    """Other contents for events: what is ``None`` stays. ``dimensions`` are set by name, or taken away with ``None``."""

    account: str | None = None
    type: str | None = None
    value: Decimal | None = None
    dimensions: dict[str, str | None] = msgspec.field(default_factory=dict)

    def of(self, event: Event) -> Event:
        """The event as it should have been, in its canonical form; identity and time stay.

        >>> sent = Event(owner="o", source="s", id="1", type="call", account="a", time=0, dimensions={"region": "eu", "x": "1"})
        >>> changed = Change(account="b", dimensions={"region": "us", "x": None}).of(sent)
        >>> changed.account, changed.dimensions, changed.value
        ('b', {'region': 'us'}, Decimal('1'))
        """
        dimensions = {**event.dimensions, **self.dimensions}
        return canonical(
            msgspec.structs.replace(
                event,
                account=event.account if self.account is None else self.account,
                type=event.type if self.type is None else self.type,
                value=event.value if self.value is None else self.value,
                dimensions={name: text for name, text in dimensions.items() if text is not None},
            )
        )

    def __bool__(self) -> bool:
        """Whether anything is to be changed."""
        return self != Change()
