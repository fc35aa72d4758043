"""Exit codes. docs/reference/cli.md lists them; scripts may rely on them."""

from __future__ import annotations

from enum import IntEnum

from billsmith.units import errors


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    PROBLEMS = 1
    USAGE = 2
    NOT_FOUND = 3
    CONFLICT = 4
    FORBIDDEN = 5
    BROKEN = 70
    UNAVAILABLE = 75
    NOT_SET_UP = 78
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.PROBLEMS: "a check found problems, or some rows of a file did not come in; the answer says which",
    Exit.USAGE: "the command or its input is wrong; nothing was changed",
    Exit.NOT_FOUND: "there is no such account, key, invoice or file",
    Exit.CONFLICT: "something stands in the way: the id is taken, the state forbids it, the store holds data",
    Exit.FORBIDDEN: "not allowed",
    Exit.BROKEN: "a fault of the program itself; please report it",
    Exit.UNAVAILABLE: "the store can't be used now (busy, disk full, read-only, unreachable, damaged); try again later",
    Exit.NOT_SET_UP: "the store is missing, older or newer than this program, or lacks its driver; the message tells",
    Exit.INTERRUPTED: "stopped by Ctrl-C",
}

_NOT_SET_UP = {"store.missing", "store.outdated", "store.newer", "store.driver_missing"}


def exit_code(error: errors.BillsmithError) -> Exit:
    """The exit code of an error.

    >>> exit_code(errors.NotFound("no account", code="account.unknown"))
    <Exit.NOT_FOUND: 3>
    """
    if error.code in _NOT_SET_UP:
        return Exit.NOT_SET_UP
    match error:
        case errors.NotFound():
            return Exit.NOT_FOUND
        case errors.Conflict():
            return Exit.CONFLICT
        case errors.Forbidden() | errors.Unauthorized():
            return Exit.FORBIDDEN
        case errors.Busy() | errors.Unavailable():
            return Exit.UNAVAILABLE
        case _:
            return Exit.USAGE
