"""Wallets and agreements: credit granted and taken back, coupons given, minimums and commitments agreed."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.accounts.model import Account, check_currency
from billsmith.catalog.versions import Shelf
from billsmith.invoicing.bookings import book_grant, book_loss
from billsmith.ledger.wallets import Grant, Loss
from billsmith.storage import agreements, catalogs, ledger
from billsmith.storage.agreements import Movement, Stored, StoredGrant
from billsmith.storage.database import Connection
from billsmith.storage.grant_states import balance_of
from billsmith.storage.ledger import Subject
from billsmith.subscriptions.agreements import Agreement, CommitmentAgreed, CouponGiven, Ended, MinimumAgreed
from billsmith.units.calendar import Interval, Schedule, Unit, anniversary_at
from billsmith.units.currency import from_minor, to_minor
from billsmith.units.errors import Conflict, Invalid, InvalidCatalog, NotFound
from billsmith.workflows.catalogs import the_catalog


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A grant with what is left of it; ``voided_at`` where it was taken back."""

    stored: StoredGrant
    left: Decimal
    voided_at: int | None = None


def give(
    connection: Connection, issuer: Account, account: Account, new: Grant, currency: str, *, now: int, actor: str
) -> StoredGrant:
    """Grant credit to an account at or below the issuer, booked at once. Raises :class:`Invalid`, :class:`Conflict`."""
    _below(issuer, account)
    if new.amount <= 0 or from_minor(to_minor(new.amount, check_currency(currency)), currency) != new.amount:
        raise Invalid("a grant is an amount above zero that its currency can pay", code="wallet.grant_amount", where="amount")
    if new.rollover and from_minor(to_minor(new.rollover, currency), currency) != new.rollover:
        raise Invalid("a rollover is an amount that its currency can pay", code="wallet.grant_amount", where="rollover")
    if new.rollover and new.recurrence is None:
        raise Invalid("only what is filled up again carries a rest over", code="wallet.rollover", where="rollover")
    if new.expires_at is not None and new.expires_at <= new.effective_at:
        raise Invalid("it would expire before it begins", code="wallet.expires_before_start", where="expires_at")
    stored = agreements.add_grant(connection, issuer, account, new, currency, now=now, actor=actor)
    ledger.append_next(connection, Subject.GRANT, stored.seq, [book_grant(new, now, currency)])
    return stored


def every(unit: str | None, begins: int, zone: str) -> Schedule | None:
    """When a grant is filled up again: each unit from its beginning on, by the calendar where its holder is."""
    return None if unit is None else anniversary_at(Interval(Unit(unit)), begins, zone)


def take_back(connection: Connection, stored: StoredGrant, *, now: int, actor: str) -> Balance:
    """Void a grant: what is left of it is lost. Void already: no change."""
    before = balance(connection, stored, now)
    if before.voided_at is not None:
        return before
    currency = stored.currency
    lost = to_minor(before.left, currency)
    agreements.add_movements(
        connection, [Movement(stored.account_seq, stored.grant.id, now, "void", lost, None)], now=now, actor=actor
    )
    if lost:
        loss = book_loss(stored.grant, Loss(at=now, grant=stored.grant.id, amount=from_minor(lost, currency)), currency)
        ledger.append_next(connection, Subject.GRANT, stored.seq, [loss])
    return balance(connection, stored, now)


def balances(connection: Connection, issuer: Account | None, account: Account, at: int) -> list[Balance]:
    """The grants of an account by an issuer (``None``: by any) with what is left of each, oldest first."""
    stored = agreements.grants(connection, issuer.seq if issuer else None, [account.seq])[account.seq]
    moves = agreements.movements(connection, [account.seq])[account.seq]
    return [_balance(each, moves, at) for each in stored]


def balance(connection: Connection, stored: StoredGrant, at: int) -> Balance:
    """A grant with what is left of it."""
    return _balance(stored, agreements.movements(connection, [stored.account_seq])[stored.account_seq], at)


def agree(
    connection: Connection, issuer: Account, account: Account, body: Agreement, *, id: str, now: int, actor: str
) -> Stored:
    """Record an agreement. Raises :class:`Invalid`, :class:`InvalidCatalog` for a coupon that isn't offered."""
    _below(issuer, account)
    if isinstance(body, MinimumAgreed | CommitmentAgreed):
        check_currency(body.currency)
    if isinstance(body, Ended):
        there = agreements.of_accounts(connection, issuer.seq, [account.seq], now)[account.seq]
        if body.agreement not in {each.id for each in there if not isinstance(each.body, Ended)}:
            raise NotFound("no such agreement of this account", code="agreement.unknown")
    if isinstance(body, CouponGiven):
        offered_coupon(catalogs.load(connection, issuer, body.catalog), body.coupon, body.version)
    return agreements.add(connection, issuer, account, id, body, now=now, actor=actor)


def coupon_given(connection: Connection, issuer: Account, coupon: str, catalog: str | None, at: int) -> CouponGiven:
    """A coupon as it is offered, of the catalog named or of the only one. Raises :class:`InvalidCatalog`, :class:`Invalid`."""
    code = the_catalog(connection, issuer, catalog)
    version = offered_coupon(catalogs.load(connection, issuer, code), coupon)
    return CouponGiven(at=at, catalog=code, coupon=coupon, version=version)


def offered_coupon(shelf: Shelf, code: str, version: int | None = None) -> int:
    """The version of a coupon that is offered. Raises :class:`InvalidCatalog`."""
    offered = shelf.offers.get("coupon", {})
    if code not in offered or version not in (None, offered[code]):
        known = ", ".join(sorted(offered)) or "none"
        raise InvalidCatalog(f"no coupon {code[:60]} is offered; known: {known}", code="catalog.unknown_coupon", where="coupon")
    return offered[code]


def _balance(stored: StoredGrant, moves: list[Movement], at: int) -> Balance:
    own = [move for move in moves if move.grant_id == stored.grant.id]
    voids = [move.at for move in own if move.what == "void"]
    grant = msgspec.structs.replace(stored.grant, voided_at=min(voids)) if voids else stored.grant
    return Balance(stored=stored, left=balance_of(grant, own, stored.currency, at), voided_at=min(voids) if voids else None)


def _below(issuer: Account, account: Account) -> None:
    if not account.is_at_or_below(issuer):
        raise Invalid("the account must stand at or below the issuer", code="agreement.places", where="account")
    if account.status == "closed":
        raise Conflict(f"{account.name!r} is closed", code="account.closed")
