"""Processes that do work for this one: started bare, so that they load what the work needs and nothing else.

(The standard library's pools load the program's own main module in every process: half a second of a command line's.)
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, TypeVar

from billsmith.units.errors import Unavailable

A = TypeVar("A")
R = TypeVar("R")

_CODE = "import sys; sys.path[:] = sys.argv[1:]; from billsmith.workflows.processes import serve; serve()"


class Processes:
    """So many processes, each begun by ``start(argument)``. Whatever goes there and back is pickled."""

    def __init__(self, count: int, start: Callable[[A], None], argument: A) -> None:
        self._start = pickle.dumps((start, argument))
        self._idle: queue.LifoQueue[subprocess.Popen[bytes] | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._running: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(count, "processes")

    def submit(self, work: Callable[[A], R], argument: A) -> Future[R]:
        """Have a function of a module's own called in one of them."""
        return self._threads.submit(self._ask, work, argument)

    def _ask(self, work: Callable[[A], R], argument: A) -> R:
        process = self._idle.get()
        try:
            if process is None:
                process = self._begun()
            result: R = _answer(process, pickle.dumps((work, argument)))
            return result
        finally:
            self._idle.put(process)

    def _begun(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE, *sys.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        self._running.append(process)
        _answer(process, self._start)
        return process

    def close(self) -> None:
        """Let the work under way end, and the processes with it; what nobody has begun is not done."""
        self._threads.shutdown(cancel_futures=True)
        for process in self._running:
            process.communicate()


def _answer(process: subprocess.Popen[bytes], asked: bytes) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        _send(process.stdin, asked)
        answer = _receive(process.stdout)
    except BrokenPipeError:
        answer = None
    if answer is None:
        raise Unavailable("a process that worked for this one was ended. Run it again", code="process.ended")
    done, result = pickle.loads(answer)
    if not done:
        raise result
    return result


def serve() -> None:
    """What such a process does: answer, until whoever asks is gone. What is printed goes to the standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, to = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while (asked := _receive(source)) is not None:
        try:
            work, argument = pickle.loads(asked)
            answer = pickle.dumps((True, work(argument)))
        except Exception as error:
            answer = pickle.dumps((False, error))
        _send(to, answer)


def _send(to: IO[bytes], data: bytes) -> None:
    to.write(len(data).to_bytes(8, "big") + data)
    to.flush()


def _receive(source: IO[bytes]) -> bytes | None:
    """The next message; ``None`` where there is no more."""
    length = source.read(8)
    data = source.read(int.from_bytes(length, "big")) if len(length) == 8 else b""
    return data or None
