"""How uvicorn is set so that the application can face callers whom nobody knows."""

from __future__ import annotations

import uvicorn

from billsmith.server.app import MAX_HEAD, App
from billsmith.server.connection import ConnectionLimits, guarded

#: Seconds that requests under way get to finish once the end was asked for.
GRACE = 10


def configuration(app: App, limits: ConnectionLimits = ConnectionLimits()) -> uvicorn.Config:  # noqa: B008 (frozen)
    """The settings of uvicorn for the application.

    h11 alone parses requests: it is the strict one. uvicorn's own reading of ``X-Forwarded-*`` is off, because it trusts
    loopback unasked; ``wire/hosts.py`` reads them, from the proxies that the operator names. No request line is logged: it
    may hold what a caller put into it.
    """
    return uvicorn.Config(
        app,
        http=guarded(limits),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=GRACE,
    )
