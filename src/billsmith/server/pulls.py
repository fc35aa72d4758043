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
        # A daemon: where a vendor keeps it waiting past our patience, the process ends as a killed one would.
        self._thread = threading.Thread(target=self._run, name="billsmith pulls", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next piece; the walk goes on where it stopped when the server runs again."""
        self._ending.set()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                for of, walk in self._puller.run_due(self._check):
                    log.info("pulled %s: %s %s", of.name, walk.state.value, walk.code)
            except Stopped:
                return
            except BillsmithError as error:
                log.warning("a pull could not be run: %s", error)
            except Exception:
                log.exception("a pull broke")
            self._ending.wait(self._every)

    def _check(self, _count: int) -> None:
        if self._ending.is_set():
            raise Stopped
