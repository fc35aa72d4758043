"""What must hold of a row, as SQL for the driver."""

from __future__ import annotations

from billsmith.storage.direct import Condition, Direct
from billsmith.storage.extras import postgres_extra, sqlite_extra
from billsmith.storage.invoices import ISSUED_BY, number_key
from billsmith.storage.lists.criteria import EVERY_FLAG, Criteria, InvoiceList, VendorField, mask_of

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
    for sql, value in (
        ("recipient_seq = ?", criteria.recipient_seq),
        ("issuer_seq = ?", criteria.issuer_seq),
        ("issuer_seq <> ?", criteria.not_issuer_seq),
        ("number_key = ?", None if criteria.number is None else number_key(criteria.number)),
        (_part(direct), None if criteria.number_part is None else number_key(criteria.number_part)),
    ):
        if value is not None:
            condition &= Condition(sql, (value,))
    if criteria.recipient_near_seq is not None:
        condition &= near(criteria.recipient_near_seq)
    if criteria.vendor_field is not None:
        condition &= _has(direct, criteria.vendor_field)
    return condition


def near(account_seq: int) -> Condition:
    """The recipient is an account or a direct child of it."""
    return Condition("recipient_seq IN (SELECT seq FROM account WHERE seq = ? OR parent_seq = ?)", (account_seq, account_seq))


def _part(direct: Direct) -> str:
    # Half the time of LIKE, and no characters of its own.
    return f"{'instr' if direct.is_sqlite else 'strpos'}(number_key, ?) > 0"


def _has(direct: Direct, field: VendorField) -> Condition:
    extra = (sqlite_extra if direct.is_sqlite else postgres_extra)("extras", "CAST(? AS text)", "CAST(? AS text)")
    names = (field.vendor, field.name)
    kinds = sorted(kind.value for kind in field.kinds)
    lacking = f"({extra} IS NULL AND kind IN ({', '.join('?' * len(kinds))}))" if kinds else "1 = 0"
    parameters = (*names, field.text, *((*names, *kinds) if kinds else ()))
    return Condition(f"({extra} = ? OR {lacking})", parameters)


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
