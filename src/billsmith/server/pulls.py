"""Pulls that are due, run by the server in a thread of its own: all that a schedule needs is in the store (decision 0313)."""

from __future__ import annotations

import logging
import threading

from billsmith.units.errors import BillsmithError
from billsmith.workflows.sync import Stopped
from billsmith.workflows.sync_runs import Puller

log = logging.getLogger("billsmith.server")

#: Seconds between two looks for connections whose time has come.
EVERY = 30
#: Seconds that the server's end waits for a pull to reach its next piece.
PATIENCE = 5


class Pulls:
    """Looks now and then which connections are due, and pulls them one after the other."""

    def __init__(self, puller: Puller, every: int = EVERY) -> None:
        self._puller = puller
        self._every = every
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._ending = threading.Event()
        # A daemon: where a vendor keeps it waiting past our patience, the process ends as a killed one would.
        self._thread = threading.Thread(target=self._run, args=(self._ending,), name="billsmith pulls", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End at the next piece; the walk goes on where it stopped when the server runs again."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def _run(self, ending: threading.Event) -> None:
        def check(_count: int) -> None:
            if ending.is_set():
                raise Stopped

        while not ending.is_set():
            try:
                for of, walk in self._puller.run_due(check):
                    log.info("pulled %s: %s %s", of.name, walk.state.value, walk.code)
            except Stopped:
                return
            except BillsmithError as error:
                log.warning("a pull could not be run: %s", error)
            except Exception:
                log.exception("a pull broke")
            ending.wait(self._every)
