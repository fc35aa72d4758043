"""A really running server: the application under uvicorn in a process of its own, for tests that need real connections.

``python -m tests.support.served '{"home": …}'`` serves until it is killed; its first line of output is its port.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from billsmith.server.configuration import configuration
from billsmith.server.connection import ConnectionLimits
from billsmith.server.faces import application
from billsmith.server.settings import Settings, services
from billsmith.storage import upgrade
from billsmith.storage.database import Database, sqlite_url
from billsmith.units.instants import SECOND

ROOT = Path(__file__).parents[2]


class Running:
    """A server's process and its address."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start(home: Path, *, database_url: str = "", limits: dict[str, float] | None = None, **settings: Any) -> Running:
    """Start a server over a store that is there, or made now. Whoever starts it ends it."""
    wanted = {"home": str(home), "database_url": database_url, "limits": limits or {}, "settings": settings}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.served", json.dumps(wanted)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.strip(), "the server did not start"
    return Running(process, int(line))


@contextmanager
def serving(home: Path, **more: Any) -> Iterator[Running]:
    """A server for the length of a block."""
    running = start(home, **more)
    try:
        yield running
    finally:
        running.process.terminate()
        try:
            running.process.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
        assert running.process.stdout is not None
        running.process.stdout.close()


def _main() -> None:
    wanted = json.loads(sys.argv[1])
    settings = msgspec.convert({"home": wanted["home"], **wanted["settings"]}, Settings, strict=False, dec_hook=_path)
    database = Database(wanted["database_url"] or sqlite_url(settings.home))
    everything = services(settings, database)
    upgrade.upgrade(database, everything.clock() // SECOND * SECOND)
    # The loop sends what is small at once (no delay) only where the protocol is named, as it is where a server binds a port.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(512)
    print(listener.getsockname()[1], flush=True)
    limits = msgspec.convert(wanted["limits"], ConnectionLimits)
    uvicorn.Server(configuration(application(settings, everything), limits)).run(sockets=[listener])


def _path(kind: type, value: Any) -> Any:
    return Path(value)


if __name__ == "__main__":
    _main()
