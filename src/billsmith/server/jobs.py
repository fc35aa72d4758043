"""Jobs in the background: a thread for each, so that a vendor that keeps one waiting keeps none of the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import msgspec

from billsmith.workflows.jobs import JOBS, Job, Ran, Tools, run_if_due
from billsmith.workflows.sync import Stopped

log = logging.getLogger("billsmith.server")

#: Seconds that the end waits for jobs to reach their next piece.
PATIENCE = 5


class Jobs:
    """Looks again and again what is due, and does it."""

    def __init__(self, tools: Tools, jobs: Sequence[Job] = JOBS) -> None:
        self._tools = tools
        self._jobs = tuple(jobs)
        self._ending = threading.Event()
        self._awake = {job.name: threading.Event() for job in jobs}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin."""
        self._ending = threading.Event()
        # Daemons: where a vendor keeps one waiting past our patience, the process ends as a killed one would.
        self._threads = [
            threading.Thread(target=self._run, args=(job, self._ending), name=f"billsmith {job.name}", daemon=True)
            for job in self._jobs
        ]
        for thread in self._threads:
            thread.start()

    def wake(self, name: str) -> None:
        """Have a job look now; of one that is not among these, nothing comes."""
        if name in self._awake:
            self._awake[name].set()

    def stop(self) -> None:
        """End at the next piece; whoever runs the jobs again goes on from there."""
        self._ending.set()
        for awake in self._awake.values():
            awake.set()
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _run(self, job: Job, ending: threading.Event) -> None:
        def check(_count: int) -> None:
            if ending.is_set():
                raise Stopped

        tools = msgspec.structs.replace(self._tools, check=check, patient=True)
        awake = self._awake[job.name]
        while not ending.is_set():
            awake.clear()
            try:
                _tell(run_if_due(tools, job))
            except Stopped:
                return
            except Exception:
                log.exception("the job %s broke", job.name)
            if not ending.is_set():
                awake.wait(job.every)


def _tell(ran: Ran | None) -> None:
    if ran is not None and ran.code:
        log.warning("%s: %s [%s]", ran.job, ran.reason, ran.code)
    elif ran is not None:
        log.info("%s: %d", ran.job, ran.done)
