"""Answers kept for as long as what they say stands: per caller and query, at one version of the caller's lists.

A caller is authenticated, and its scopes are checked, before anything is looked up here; its account is part of the name under
which an answer is kept, so that none is ever given to another (decision 0023). Any write to one of the lists, or to any
account, gives them a new version, under which nothing is kept yet. What is kept is bounded in bytes; what was unused for
longest goes first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from billsmith.storage.database import Connection
from billsmith.storage.invoice_lists import InvoiceList, state
from billsmith.wire.stream import Stream

if TYPE_CHECKING:
    from billsmith.wire.face import Call

#: Bytes of bodies kept, and of one of them.
MOST_BYTES = 32 * 1024 * 1024
MOST_IN_ONE = 1024 * 1024
#: What an answer takes besides its body, about.
_OVERHEAD = 2 * 1024


Made = TypeVar("Made")


class Answers:
    """The answers that a process keeps."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[tuple[Any, ...], Response] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, call: Call, connection: Connection, lists: Sequence[InvoiceList], make: Callable[[], Made]) -> Response | Made:
        """The answer to a call that reads nothing but these lists and accounts; made when it isn't kept.

        ``connection`` is the one that ``make`` reads through, so that the answer is of the version under which it is kept.
        What is made but is no whole answer (an error, a stream, the plan of one) is given back and not kept.
        """
        name = (*caller(call, lists), call.base_url, call.path, call.parameters.normalised, state(connection, lists))
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None:
                self._kept.move_to_end(name)
                return kept
        answer = make()
        if isinstance(answer, Response) and _is_whole(answer):
            self._keep(name, answer)
        return answer

    def _keep(self, name: tuple[Any, ...], answer: Response) -> None:
        with self._lock:
            if name in self._kept:
                return
            self._kept[name] = answer
            self._bytes += len(answer.body) + _OVERHEAD
            while self._bytes > self._most_bytes:
                _, gone = self._kept.popitem(last=False)
                self._bytes -= len(gone.body) + _OVERHEAD


def caller(call: Call, lists: Sequence[InvoiceList]) -> tuple[Any, ...]:
    """Whose answer it is, and of whose lists."""
    return call.principal.account.seq, call.principal.scopes, tuple(lists)


def _is_whole(answer: Response) -> bool:
    return answer.status_code == 200 and not isinstance(answer, Stream) and len(answer.body) <= MOST_IN_ONE
