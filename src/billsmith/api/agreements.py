"""``/v1/agreements``: what accounts agreed to beside their subscriptions: coupons, minimums, commitments, terms of payment."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from billsmith.accounts.authorisation import Scope, may_reach
from billsmith.accounts.model import Account
from billsmith.api.catalogs import ISSUER
from billsmith.api.lookups import account_of_field
from billsmith.api.operations import Made, Operation, QueryParameter
from billsmith.api.subscriptions import Code, Codes
from billsmith.api.values import AccountName, CurrencyCode, Id, Instant, Text, check_places, decimal_text, read_instant
from billsmith.storage import accounts, agreements
from billsmith.storage.agreements import Stored
from billsmith.storage.database import Connection
from billsmith.subscriptions.agreements import (
    MAX_DUE_DAYS,
    Agreement,
    CommitmentAgreed,
    Ended,
    MinimumAgreed,
    TermsAgreed,
    in_force,
)
from billsmith.units.errors import Forbidden, Invalid, NotFound
from billsmith.units.ids import parse_id
from billsmith.units.instants import format_instant
from billsmith.wire.face import Call
from billsmith.wire.json import RawDecimal, exact
from billsmith.workflows import wallets as workflow
from billsmith.workflows.new_ids import new_id


class CouponAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A coupon of the issuer's catalog (named where there are several), as it is offered."""

    code: Code
    catalog: Code | None = None


class MinimumAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least that each invoice comes to before tax, in the account's currency unless given; ``applies_to``: its scope."""

    amount: RawDecimal
    currency: CurrencyCode | None = None
    applies_to: Codes = ()


class CommitmentAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money promised (or ``prepaid``) until an instant; what goes beyond it costs ``overage_factor`` times as much."""

    amount: RawDecimal
    until: Instant
    currency: CurrencyCode | None = None
    prepaid: bool = False
    overage_factor: RawDecimal | UnsetType = UNSET
    applies_to: Codes = ()


class TermsAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an account pays. ``tax_free`` says why no tax is charged."""

    due_days: Annotated[int, msgspec.Meta(ge=0, le=MAX_DUE_DAYS)] = 14
    tax_free: Text = ""
    send_by_email: bool = False
    direct_debit: bool = False


class AgreementCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agreement of an account with its issuer (the caller's account unless named), from an instant on (now)."""

    account: AccountName
    issuer: AccountName | None = None
    at: Instant | None = None
    coupon: CouponAsked | None = None
    minimum: MinimumAsked | None = None
    commitment: CommitmentAsked | None = None
    terms: TermsAsked | None = None


class AgreementEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When it ends: now unless given."""

    at: Instant | None = None


class AgreementView(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement. ``kind`` is ``coupon``, ``minimum``, ``commitment``, ``terms`` or ``ended``; ``what`` is what it says."""

    id: Id
    account_id: Id
    kind: str
    at: Instant
    holds: bool
    what: dict[str, Any]


class AgreementList(msgspec.Struct, frozen=True, kw_only=True):
    """What an account agreed to, in the order in which it was recorded; ``holds``: whether it does now."""

    items: list[AgreementView]


def list_agreements(call: Call) -> AgreementList:
    """``GET /v1/agreements``."""
    now = call.services.clock()
    with call.services.database.read() as connection:
        account = account_of_field(connection, call.principal, call.parameters.text("account"), "account")
        issuer = account_of_field(connection, call.principal, call.parameters.text("issuer"), "issuer")
        stored = agreements.of_accounts(connection, issuer.seq, [account.seq], now)[account.seq]
    return AgreementList(items=_views(stored, account, now))


def create_agreement(connection: Connection, call: Call, body: AgreementCreate) -> Made:
    """``POST /v1/agreements``."""
    account = account_of_field(connection, call.principal, body.account, "account")
    issuer = account_of_field(connection, call.principal, body.issuer, "issuer")
    now, at = call.services.clock(), read_instant(body.at, "at")
    agreed = _agreement(connection, issuer, account, body, now if at is None else at)
    stored = workflow.agree(connection, issuer, account, agreed, id=new_id(), now=now, actor=call.principal.actor)
    return Made(_views([stored], account, now)[0])


def end_agreement(connection: Connection, call: Call, body: AgreementEnd) -> Made:
    """``POST /v1/agreements/{agreement}/end``."""
    id = parse_id(call.path_values["agreement"])
    found = agreements.by_id(connection, id) if id is not None else None
    account = None if found is None else accounts.by_seq(connection, found[0].account_seq)
    if found is None or account is None or not may_reach(call.principal, account):
        raise NotFound("no such agreement, or not one that this account may see", code="agreement.unknown")
    issuer = accounts.by_seq(connection, found[1])
    if not may_reach(call.principal, issuer):
        raise Forbidden("only those who run its issuer end an agreement", code="access.not_issuer")
    now, at = call.services.clock(), read_instant(body.at, "at")
    ended = Ended(at=now if at is None else at, agreement=found[0].id)
    stored = workflow.agree(connection, issuer, account, ended, id=new_id(), now=now, actor=call.principal.actor)
    return Made(_views([stored], account, now)[0])


def _agreement(connection: Connection, issuer: Account, account: Account, body: AgreementCreate, at: int) -> Agreement:
    """The one agreement that a body has. Raises :class:`Invalid`."""
    given = [each for each in (body.coupon, body.minimum, body.commitment, body.terms) if each is not None]
    if len(given) != 1:
        raise Invalid("give one of coupon, minimum, commitment and terms", code="agreement.one_kind", where="coupon")
    if body.coupon is not None:
        return workflow.coupon_given(connection, issuer, body.coupon.code, body.coupon.catalog, at)
    if body.minimum is not None:
        currency = body.minimum.currency or account.currency
        amount = check_places(exact(body.minimum.amount, "minimum.amount"), currency, "minimum.amount")
        return MinimumAgreed(at=at, amount=amount, currency=currency, applies_to=body.minimum.applies_to)
    if body.commitment is not None:
        return _commitment(account, body.commitment, at)
    assert body.terms is not None
    return TermsAgreed(at=at, **{name: getattr(body.terms, name) for name in TermsAsked.__struct_fields__})


def _commitment(account: Account, asked: CommitmentAsked, at: int) -> CommitmentAgreed:
    currency = asked.currency or account.currency
    factor = asked.overage_factor
    until = read_instant(asked.until, "commitment.until")
    assert until is not None
    return CommitmentAgreed(
        at=at,
        amount=check_places(exact(asked.amount, "commitment.amount"), currency, "commitment.amount"),
        currency=currency,
        ends_at=until,
        prepaid=asked.prepaid,
        overage_factor=Decimal(1) if isinstance(factor, UnsetType) else exact(factor, "commitment.overage_factor"),
        applies_to=asked.applies_to,
    )


def _views(stored: list[Stored], account: Account, now: int) -> list[AgreementView]:
    holding = in_force([(each.id, each.body) for each in stored], now)
    return [
        AgreementView(
            id=each.id,
            account_id=account.id,
            kind=str(each.body.__struct_config__.tag),
            at=format_instant(each.body.at),
            holds=each.id in holding,
            what=_what(each.body),
        )
        for each in stored
    ]


def _what(body: Agreement) -> dict[str, Any]:
    said = {name: getattr(body, name) for name in body.__struct_fields__ if name != "at"}
    for name in ("amount", "overage_factor"):
        if name in said:
            said[name] = decimal_text(said[name])
    if "ends_at" in said:
        said["ends_at"] = format_instant(said["ends_at"])
    return said


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/agreements",
        id="listAgreements",
        tag="subscriptions",
        summary="List what an account agreed to",
        scope=Scope.BILLING_READ,
        query=(
            QueryParameter(
                name="account",
                description="Whose: a UUID or an external id (the caller's account).",
                schema={"type": "string", "minLength": 1, "maxLength": 128},
            ),
            ISSUER,
        ),
        answer=AgreementList,
        read=list_agreements,
    ),
    Operation(
        method="POST",
        path="/v1/agreements",
        id="createAgreement",
        tag="subscriptions",
        summary="Record a coupon, a minimum, a commitment or terms of payment",
        description="From the next invoice on that is made by a run after `at`.",
        scope=Scope.BILLING_WRITE,
        body=AgreementCreate,
        example={"account": "acme", "terms": {"due_days": 30, "send_by_email": True}},
        status=201,
        answer=AgreementView,
        write=create_agreement,
    ),
    Operation(
        method="POST",
        path="/v1/agreements/{agreement}/end",
        id="endAgreement",
        tag="subscriptions",
        summary="End an agreement",
        scope=Scope.BILLING_WRITE,
        body=AgreementEnd,
        answer=AgreementView,
        write=end_agreement,
    ),
)
