"""The one tree of errors.

::

    BillsmithError
    ├── Invalid              bad data: what was wrong, where, how to mend it
    │   ├── InvalidNumber    not a decimal we can hold exactly
    │   ├── InvalidTime      not an instant, date or zone
    │   ├── InvalidAccount   an account that can't be
    │   ├── InvalidInvoice   an invoice that doesn't add up or lacks something
    │   └── InvalidCatalog   a price book that can't be read
    ├── NotFound             nothing there that the caller may see
    ├── Forbidden            known, but not for this caller
    ├── Unauthorized         no credential, or one that doesn't count
    ├── Conflict             the same identity with another content, or a step that the state forbids
    ├── TooLarge             a limit on bytes, depth, digits or items
    ├── Busy                 try again later: a rate limit or back-pressure
    ├── Incomplete           a list that did not come whole; what came of it counts
    └── Unavailable          the store can't write (disk full, read-only, newer than this program), or a server can't be reached

Each carries a stable ``code`` (``area.cause``), listed in docs/errors.md. Doors translate them: a vendor's folder into that
vendor's error form, the native API into problem details, the command line into an exit code.
"""

from __future__ import annotations


class BillsmithError(Exception):
    """The parent of all errors that billsmith raises on purpose.

    ``message`` says what was wrong, where, and how to mend it; ``code`` never changes; ``where`` is a path such as
    ``lines[2].amount`` when the fault has a place in the input.

    >>> str(BillsmithError("no such plan", code="catalog.unknown_plan"))
    'no such plan [catalog.unknown_plan]'
    """

    default_code = "billsmith.error"

    def __init__(self, message: str, *, code: str | None = None, where: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.message} [{self.code}]"


class Invalid(BillsmithError):
    """Bad data."""

    default_code = "input.invalid"


class InvalidNumber(Invalid):
    """Text that isn't a decimal number within our limits."""

    default_code = "number.invalid"


class InvalidTime(Invalid):
    """Text that isn't an instant, a date or a time zone."""

    default_code = "time.invalid"


class InvalidAccount(Invalid):
    """An account that can't be."""

    default_code = "account.invalid"


class InvalidInvoice(Invalid):
    """An invoice that doesn't add up, or lacks something."""

    default_code = "invoice.invalid"


class InvalidEvent(Invalid):
    """Usage that can't be counted."""

    default_code = "event.invalid"


class InvalidPrice(Invalid):
    """A price that can't be, or usage that it can't rate."""

    default_code = "price.invalid"


class InvalidCatalog(Invalid):
    """A price book that can't be read."""

    default_code = "catalog.invalid"


class NotFound(BillsmithError):
    """Nothing there that the caller may see."""

    default_code = "input.not_found"


class Forbidden(BillsmithError):
    """Known, but not for this caller."""

    default_code = "access.forbidden"


class Unauthorized(BillsmithError):
    """No credential, or one that doesn't count."""

    default_code = "access.unauthorized"


class Conflict(BillsmithError):
    """The same identity with another content, or a step that the state forbids."""

    default_code = "state.conflict"


class TooLarge(BillsmithError):
    """A limit on bytes, depth, digits or items was passed."""

    default_code = "input.too_large"


class Busy(BillsmithError):
    """Try again later; ``retry_after`` is in whole seconds."""

    default_code = "access.busy"

    def __init__(self, message: str, *, code: str | None = None, where: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code, where=where)
        self.retry_after = retry_after


class Incomplete(BillsmithError):
    """A list of a vendor's that did not come whole, or may not have; what came of it counts."""

    default_code = "pull.incomplete"


class Unavailable(BillsmithError):
    """The store can't take a write now, or a server can't be reached."""

    default_code = "store.unavailable"
