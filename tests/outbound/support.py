"""What the tests of requests share: sessions with a made-up sleep, towards servers of this machine."""

from __future__ import annotations

from typing import Any

from billsmith.outbound import origins
from billsmith.outbound.session import Limits, Settings, Tools

NOW = 1_790_000_000


class World:
    """A clock that only sleeping moves, and what was slept."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def clock(self) -> int:
        return int((NOW + sum(self.slept)) * 1_000_000_000)

    def settings(self, *urls: str, **limits: Any) -> Settings:
        """Sessions that may speak with these servers, and wait for nobody."""
        return Settings(
            private=frozenset(origins.parse(url)[0] for url in urls),
            limits=Limits(**{"per_second": 1_000_000, "total": 5.0, "max_wire": 2**20, "max_body": 2**22, **limits}),
            tools=Tools(sleep=self.sleep, clock=self.clock, dice=lambda: 0.0),
        )
