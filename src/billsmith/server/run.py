"""Running the application: one process, one port, a clean end."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
from collections.abc import Callable

import uvicorn

from billsmith.server import interpreter
from billsmith.server.configuration import configuration
from billsmith.server.faces import application
from billsmith.server.settings import Settings, services
from billsmith.storage.database import Database
from billsmith.units.errors import Conflict, Invalid

#: Told the address once requests are answered, and a function that ends the server.
Started = Callable[[str, Callable[[], None]], None]


def serve(settings: Settings, database: Database, *, started: Started) -> None:
    """Serve until Ctrl-C, SIGTERM or the function that ``started`` was handed. ``started`` must not block.

    Raises :class:`Conflict` when the port is taken, :class:`Invalid` when there is no such address.
    """
    listening = _listen(settings.host, settings.port)
    config = configuration(application(settings, services(settings, database)))
    # uvicorn ends in good order on either signal and then raises it once more, for whoever had a handler before.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with listening, contextlib.suppress(KeyboardInterrupt):
            _Server(config, _address(settings.host, listening), started).run(sockets=[listening])
    finally:
        interpreter.undo()
        signal.signal(signal.SIGTERM, before)


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there."""
    try:
        _listen(host, port).close()
    except (Conflict, Invalid):
        return False
    return True


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, address: str, started: Started) -> None:
        super().__init__(config)
        self._address = address
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        interpreter.prepare()
        if self.started:
            self._tell(self._address, self._end)

    def _end(self) -> None:
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:  # the system would take the rest of a division
        raise Invalid(f"{port} is not a port; name one from 0 to 65535", code="server.address", where="port")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
            listening.listen(2048)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise _refusal(host, port, error) from None
    return listening


def _refusal(host: str, port: int, error: Exception) -> Conflict | Invalid:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Conflict(f"port {port} is taken; name another with --port", code="server.port_taken", where="port")
    if isinstance(error, OSError) and error.errno == errno.EACCES:
        return Invalid(
            f"this user may not listen at port {port}; name one above 1023", code="server.port_forbidden", where="port"
        )
    return Invalid(
        f"nothing can listen at {host}:{port} ({error}); name an address of this machine with --host",
        code="server.address",
        where="host",
    )


def _address(host: str, listening: socket.socket) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}"
