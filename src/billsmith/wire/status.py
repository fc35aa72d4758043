"""Which HTTP status an error of ours is, where a vendor's contract says nothing else."""

from __future__ import annotations

from billsmith.units.errors import (
    BillsmithError,
    Busy,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    TooLarge,
    Unauthorized,
    Unavailable,
)

_STATUSES: tuple[tuple[type[BillsmithError], int], ...] = (
    (Invalid, 400),
    (Unauthorized, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (Unavailable, 503),
)


def status_of(error: BillsmithError) -> int:
    """The status of an error.

    >>> status_of(NotFound("nothing"))
    404
    """
    if isinstance(error, Busy):
        return 503 if error.code == "store.locked" else 429
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def retry_headers(error: BillsmithError) -> dict[str, str]:
    """``Retry-After`` where it helps."""
    if isinstance(error, Busy):
        return {"Retry-After": str(error.retry_after)}
    return {"Retry-After": "5"} if isinstance(error, Unavailable) else {}
