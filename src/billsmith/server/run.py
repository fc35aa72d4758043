"""Running the application under uvicorn, with the settings that make it fit to face callers."""

from __future__ import annotations

import uvicorn

from billsmith.server.app import MAX_HEAD, App
from billsmith.server.connection import ConnectionLimits, guarded
from billsmith.server.settings import Settings


def uvicorn_config(settings: Settings, app: App, limits: ConnectionLimits = ConnectionLimits()) -> uvicorn.Config:  # noqa: B008
    """How uvicorn runs the application.

    h11 alone parses requests: it is the strict one. uvicorn's own reading of ``X-Forwarded-*`` is off, because it trusts
    loopback unasked; ``wire/hosts.py`` reads them, from the proxies that the operator names. No request line is logged: it
    may hold what a caller put into it.
    """
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=guarded(limits),
        ws="none",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        h11_max_incomplete_event_size=MAX_HEAD,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=30,
    )


def server(settings: Settings, app: App, limits: ConnectionLimits = ConnectionLimits()) -> uvicorn.Server:  # noqa: B008
    """A server that is ready to run: ``server(…).run()`` serves until it is told to stop."""
    return uvicorn.Server(uvicorn_config(settings, app, limits))
