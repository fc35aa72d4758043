"""``seq`` and ``as_of_seq`` of a call: states of usage, sealed for its caller (:mod:`billsmith.workflows.states`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from billsmith.api.operations import QueryParameter
from billsmith.wire.face import Call
from billsmith.workflows.states import LENGTH

#: A state in an answer.
State = Annotated[
    str,
    msgspec.Meta(
        max_length=LENGTH,
        description="A state of usage, for `as_of_seq`. It is another text in each answer, and for this account alone.",
    ),
]
AS_OF_SEQ = QueryParameter(
    name="as_of_seq",
    description="The state that an answer's `seq` named (now).",
    schema={"type": "string", "minLength": 1, "maxLength": 2 * LENGTH},
)


def shown(call: Call, seq: int) -> str:
    """A state as the caller sees it."""
    return call.services.states.write(call.services.database, call.principal.account.id, seq)


def asked(call: Call) -> int | None:
    """The state that the call asks for. Raises :class:`Invalid`."""
    text = call.parameters.text("as_of_seq")
    if text is None:
        return None
    return call.services.states.read(call.services.database, call.principal.account.id, text, "as_of_seq")
