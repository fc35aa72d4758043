"""The Python client that programs embed to send usage events: ``from billsmith.sender import Events``.

It stands alone: of billsmith it imports only events and units, and to send it needs nothing but the standard library.
"""

from billsmith.sender.events import Events, Problem

__all__ = ["Events", "Problem"]
