"""One process owns the store of a data folder; the others talk to it.

Who holds the lock on ``usage.lock`` is the owner: it opens the file and answers on ``usage.sock`` (for its user alone). The
lock belongs to the process, so it is gone with it, however it ends. Whoever finds no owner becomes one. A call that was cut off
because its owner ended is made again: reading changes nothing, and a batch that is sent twice counts once.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from billsmith.metering.meter import Meter
from billsmith.units.errors import Unavailable
from billsmith.usage.duckdb import checks, protocol
from billsmith.usage.duckdb.engine import DuckDBStore
from billsmith.usage.duckdb.file import private
from billsmith.usage.duckdb.memory import MEMORY
from billsmith.usage.duckdb.names import LOCK as LOCK
from billsmith.usage.duckdb.names import SOCKET as SOCKET
from billsmith.usage.duckdb.protocol import Call, Frame, Kind
from billsmith.usage.duckdb.sheets import reader
from billsmith.usage.sheets import Sheets
from billsmith.usage.store import (
    Binding,
    Entry,
    Health,
    Item,
    Kept,
    Measured,
    Name,
    Place,
    Query,
    Receipt,
    Selection,
    Unknown,
)

#: Seconds for which an owner is looked for that holds the lock but doesn't answer (it is opening the file, or ending).
PATIENCE = 30.0
#: Calls from other processes that are answered at a time.
CALLS = 64
#: Seconds for which a caller may neither send nor read.
_SILENCE = 60.0
#: Answers in one frame.
_PART = 500

T = TypeVar("T")


class SharedStore:
    """The :class:`UsageStore` of a data folder, from any process: as its owner, or through it."""

    def __init__(self, home: Path, *, memory: int = MEMORY, patience: float = PATIENCE) -> None:
        self._home, self._memory, self._patience = home, memory, patience
        self._lock = threading.Lock()
        self._owner: _Owner | None = None
        self._call(lambda store: store.watermark())

    @property
    def owns(self) -> bool:
        """Whether this process is the owner."""
        return self._owner is not None

    def _call(self, use: Callable[[DuckDBStore | Client], T]) -> T:
        until = time.monotonic() + self._patience
        while True:
            try:
                return use(self._store())
            except (ConnectionError, FileNotFoundError) as error:
                if time.monotonic() > until:
                    raise Unavailable(
                        f"another process holds the usage store of {self._home} and doesn't answer. End it, then try again",
                        code="usage.owner_silent",
                    ) from error
                time.sleep(0.02)

    def _store(self) -> DuckDBStore | Client:
        with self._lock:
            if self._owner is None:
                lock = _try_lock(self._home / LOCK)
                if lock is None:
                    return Client(self._home)
                try:
                    self._owner = _Owner(self._home, DuckDBStore(self._home, memory=self._memory), lock)
                except BaseException:
                    os.close(lock)
                    raise
            return self._owner.store

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.ingest(items))

    def bind(self, bindings: Sequence[Binding]) -> None:
        """See :class:`UsageStore`."""
        self._call(lambda store: store.bind(bindings))

    def waiting(self, names: Collection[Name] | None = None, *, limit: int = 1_000) -> tuple[Name, ...]:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.waiting(names, limit=limit))

    def keep(self, meters: Collection[Meter]) -> None:
        """See :class:`UsageStore`."""
        self._call(lambda store: store.keep(meters))

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`. An owner that ends meanwhile ends the answer with :class:`Unavailable`."""
        first = self._call(lambda store: _begun(store.measure(query)))
        try:
            yield from first
        except ConnectionError as error:
            raise Unavailable("the usage store's owner ended. Ask again", code="usage.owner_ended") from error

    def sheets(self, query: Query) -> Sheets:
        """See :func:`billsmith.usage.sheets.sheets`."""
        return self._call(lambda store: store.sheets(query))

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.events(selection, after=after, limit=limit))

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.count(selection))

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.history(owner, source, id))

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.histories(owner, names))

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.unknown(types, owners=owners, limit=limit))

    def watermark(self) -> int:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.watermark())

    def health(self) -> Health:
        """See :class:`UsageStore`."""
        return self._call(lambda store: store.health())

    def backup(self, into: Path) -> None:
        """Write a copy of the store as of now into a file that isn't there yet, while it goes on."""
        path = into.absolute()
        self._call(lambda store: store.backup(path) if isinstance(store, Client) else checks.backup(store, path))

    def faults(self) -> list[str]:
        """What is wrong with the store: its rows, its index, its roll-ups."""
        return self._call(lambda store: store.faults() if isinstance(store, Client) else list(checks.faults(store)))

    def close(self) -> None:
        """See :class:`UsageStore`. The next to call becomes the owner."""
        with self._lock:
            if self._owner is not None:
                self._owner.close()
                self._owner = None


def _begun(answers: Iterator[Measured]) -> Iterator[Measured]:
    """The answers, the first of them fetched: an owner that can't be reached is found out here."""
    first = next(answers, None)
    if first is None:
        return iter(())

    def rest() -> Iterator[Measured]:
        yield first
        yield from answers

    return rest()


def _try_lock(path: Path) -> int | None:
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


class _Owner:
    """Answers on the socket of a folder whose lock this process holds."""

    def __init__(self, home: Path, store: DuckDBStore, lock: int) -> None:
        self.store = store
        self._path, self._lock = home / SOCKET, lock
        self._slots = threading.BoundedSemaphore(CALLS)
        self._path.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        with _ShortPath(self._path) as path, private():
            self._listening.bind(path)
        self._path.chmod(0o600)
        self._listening.listen(128)
        self._thread = threading.Thread(target=self._listen, name="usage-socket", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:  # closed
                return
            connection.settimeout(_SILENCE)
            self._slots.acquire()
            threading.Thread(target=self._answer, args=(connection,), name="usage-call", daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with closing(connection):
                call = protocol.decode_call(protocol.receive(connection))
                try:
                    _perform(self.store, call, connection)
                except OSError:
                    raise
                except Exception as error:
                    _frame(connection, Kind.ERROR, protocol.fault_of(error))
        except (OSError, ValueError):  # who asked is gone, or speaks another language
            pass
        finally:
            self._slots.release()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for _ in range(CALLS):  # wait for the calls under way
            self._slots.acquire()
        self.store.close()
        self._path.unlink(missing_ok=True)
        os.close(self._lock)


def _perform(store: DuckDBStore, call: Call, connection: socket.socket) -> None:
    arguments: Any = protocol.ARGUMENTS[call.method](call.arguments)
    match call.method:
        case "measure":
            part = []
            for one in store.measure(arguments):
                part.append(protocol.pack_measured(one))
                if len(part) == _PART:
                    _frame(connection, Kind.PART, part)
                    part = []
            answer: Any = part
        case "sheets":
            answer = store.sheets(arguments).by_account
        case "ingest":
            answer = store.ingest(protocol.unpack_items(arguments))
        case "events":
            answer = store.events(arguments.selection, after=arguments.after, limit=arguments.limit)
        case "waiting":
            answer = store.waiting(arguments.names, limit=arguments.limit)
        case "unknown":
            answer = store.unknown(arguments.types, owners=arguments.owners, limit=arguments.limit)
        case "history":
            answer = store.history(*arguments)
        case "histories":
            answer = store.histories(*arguments)
        case "watermark" | "health":
            answer = getattr(store, call.method)()
        case "backup":
            checks.backup(store, Path(arguments))
            answer = None
        case "faults":
            answer = list(checks.faults(store))
        case method:
            answer = getattr(store, method)(arguments)
    _frame(connection, Kind.END, answer)


def _frame(connection: socket.socket, kind: Kind, payload: Any) -> None:
    protocol.send(connection, protocol.encode(Frame(kind, msgspec.Raw(protocol.encode(payload)))))


class _ShortPath:
    """The path of a socket, by way of its folder's descriptor where it is longer than a socket's address may be."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder: int | None = None

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= 100:
            return str(self._path)
        self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._folder)


class Client:
    """The store of another process. Raises :class:`ConnectionError` or :class:`FileNotFoundError` where there is none."""

    def __init__(self, home: Path) -> None:
        self._path = home / SOCKET

    def _ask(self, method: str, arguments: Any = None) -> Iterator[Any]:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            with _ShortPath(self._path) as path:
                connection.connect(path)
            protocol.send(connection, protocol.encode(Call(method, msgspec.Raw(protocol.encode(arguments)))))
            while True:
                frame = protocol.decode_frame(protocol.receive(connection))
                if frame.kind is Kind.ERROR:
                    raise protocol.error_of(protocol.decode_fault(frame.payload))
                yield protocol.ANSWERS[method](frame.payload)
                if frame.kind is Kind.END:
                    return

    def _one(self, method: str, arguments: Any = None) -> Any:
        (answer,) = self._ask(method, arguments)
        return answer

    def ingest(self, items: Sequence[Item]) -> Receipt:
        """See :class:`UsageStore`."""
        receipt: Receipt = self._one("ingest", protocol.pack_items(list(items)))  # columns make an event anew each time
        return receipt

    def bind(self, bindings: Sequence[Binding]) -> None:
        """See :class:`UsageStore`."""
        self._one("bind", bindings)

    def waiting(self, names: Collection[Name] | None = None, *, limit: int = 1_000) -> tuple[Name, ...]:
        """See :class:`UsageStore`."""
        found: tuple[Name, ...] = self._one("waiting", protocol.Names(None if names is None else list(names), limit))
        return found

    def keep(self, meters: Collection[Meter]) -> None:
        """See :class:`UsageStore`."""
        self._one("keep", list(meters))

    def measure(self, query: Query) -> Iterator[Measured]:
        """See :class:`UsageStore`."""
        for part in self._ask("measure", query):
            yield from map(protocol.unpack_measured, part)

    def sheets(self, query: Query) -> Sheets:
        """See :func:`billsmith.usage.sheets.sheets`."""
        return Sheets(self._one("sheets", query), reader)

    def events(self, selection: Selection, *, after: Place | None = None, limit: int = 1_000) -> tuple[Kept, ...]:
        """See :class:`UsageStore`."""
        found: tuple[Kept, ...] = self._one("events", protocol.Events(selection, after, limit))
        return found

    def count(self, selection: Selection) -> int:
        """See :class:`UsageStore`."""
        return int(self._one("count", selection))

    def history(self, owner: str, source: str, id: str) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        found: tuple[Entry, ...] = self._one("history", (owner, source, id))
        return found

    def histories(self, owner: str, names: Collection[tuple[str, str]]) -> tuple[Entry, ...]:
        """See :class:`UsageStore`."""
        found: tuple[Entry, ...] = self._one("histories", (owner, list(names)))
        return found

    def unknown(
        self, types: Collection[str], *, owners: Collection[str] | None = None, limit: int = 1_000
    ) -> tuple[Unknown, ...]:
        """See :class:`UsageStore`."""
        asked = protocol.Types(sorted(types), None if owners is None else sorted(owners), limit)
        found: tuple[Unknown, ...] = self._one("unknown", asked)
        return found

    def watermark(self) -> int:
        """See :class:`UsageStore`."""
        return int(self._one("watermark"))

    def health(self) -> Health:
        """See :class:`UsageStore`."""
        found: Health = self._one("health")
        return found

    def backup(self, into: Path) -> None:
        """See :meth:`SharedStore.backup`."""
        self._one("backup", str(into))

    def faults(self) -> list[str]:
        """See :meth:`SharedStore.faults`."""
        found: list[str] = self._one("faults")
        return found

    def close(self) -> None:
        """See :class:`UsageStore`."""
