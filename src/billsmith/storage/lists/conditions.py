"""What must hold of a row, as SQL for the driver."""

from __future__ import annotations

from billsmith.storage.direct import Condition, Direct
from billsmith.storage.invoices import ISSUED_BY, number_key
from billsmith.storage.lists.criteria import EVERY_FLAG, Criteria, InvoiceList, mask_of

#: Flags that pass a mask; the mask is a parameter, so that the statement's text is always the same.
PASSES = "(CAST(? AS BIGINT) >> flags) & 1 = 1"


def owned(of: InvoiceList) -> Condition:
    """A row of the list."""
    return Condition(f"{of.owner} = ?", (of.account_seq,))


def passing(mask: int) -> Condition:
    """A row whose flags pass."""
    return Condition("", ()) if mask == EVERY_FLAG else Condition(PASSES, (signed(mask),))


def beyond_flags(direct: Direct, criteria: Criteria) -> Condition:
    """Everything that criteria say besides the flags."""
    condition = Condition("", ())
    for name in ("recipient_seq", "issuer_seq"):
        value = getattr(criteria, name)
        if value is not None:
            condition &= Condition(f"{name} = ?", (value,))
    if criteria.number is not None:
        condition &= Condition("number_key = ?", (number_key(criteria.number),))
    if criteria.number_part is not None:
        # Half the time of LIKE, and no characters of its own.
        found = "instr" if direct.is_sqlite else "strpos"
        condition &= Condition(f"{found}(number_key, ?) > 0", (number_key(criteria.number_part),))
    return condition


def whole(direct: Direct, of: InvoiceList, criteria: Criteria) -> Condition:
    """A row of the list that meets the criteria.

    Numbers are indexed by issuer: one that is looked for in a recipient's list is looked for with each of its issuers.
    """
    condition = passing(mask_of(criteria.flags)) & beyond_flags(direct, criteria)
    if of.role == ISSUED_BY or criteria.number is None:
        return owned(of) & condition
    issuers = "issuer_seq IN (SELECT DISTINCT issuer_seq FROM pair_tally WHERE recipient_seq = ?)"
    return Condition(issuers, (of.account_seq,)) & condition & Condition("+recipient_seq = ?", (of.account_seq,))


def signed(mask: int) -> int:
    """A mask as the 64-bit number that databases know.

    >>> signed(EVERY_FLAG)
    -1
    """
    return mask - (1 << 64) if mask >> 63 else mask
