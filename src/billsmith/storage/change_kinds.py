"""The kinds of changes that the log knows, and what each says. A webhook's filter names them, or an area (``invoice.*``)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from billsmith.units.errors import Invalid

_DOCUMENTS = {
    "issued": "{} was issued, by a run or one by one",
    "imported": "{} that another system issued came in",
    "changed": "something of {} changed that is neither its status nor its amounts",
    "partially_paid": "some of {} was paid or credited",
    "paid": "all of {} was paid or credited",
    "reopened": "money was paid back, so that {} asks for it again",
    "past_due": "the due date of {} passed",
    "voided": "{} was taken back",
    "written_off": "the rest of {} was given up",
    "reminded": "{} is not paid, and a step of its issuer's reminders is done: a mail, a late fee, or this word alone",
}
_NAMES = {"invoice": "an invoice", "credit_note": "a credit note", "debit_note": "a debit note"}

#: Each kind and when it happens.
KINDS: dict[str, str] = {
    **{f"{kind}.{verb}": text.format(name) for kind, name in _NAMES.items() for verb, text in _DOCUMENTS.items()},
    "draft.kept": "a draft of a one-off invoice was made",
    "draft.changed": "a draft says something else",
    "draft.dropped": "a draft was dropped; it never had a number",
    "payment.recorded": "money came in for an invoice",
    "payment.refunded": "money was paid back",
    "subscription.created": "a subscription was made",
    "subscription.changed": "a subscription changed, from an instant that may lie before or ahead",
    "subscription.ended": "a subscription ends, at an instant that may lie before or ahead",
    "agreement.made": "a coupon, a minimum or a commitment was agreed",
    "agreement.ended": "an agreement ends",
    "wallet.granted": "credit was granted",
    "wallet.used": "an invoice used granted credit",
    "wallet.voided": "what was left of a grant was taken back",
    "catalog.applied": "a catalog was applied, as a new version",
    "catalog.migration": "somebody asked to move subscriptions to a version of their plan",
    "meter.defined": "a meter was made, or its next version",
    "simulation.asked": "somebody asked what other prices would come to",
    "usage.correction_asked": "somebody wants events voided or replaced",
    "usage.corrected": "events were voided or replaced",
    "usage.correction_refused": "a correction found another number of events than was expected, and did nothing",
    "run.begun": "a run over an issuer's subscriptions began",
    "run.ended": "a run came to its end",
    "account.created": "an account was made",
    "account.changed": "an account's data changed; which of them, not to what",
    "account.billing": "how an account bills was set: its grace, and whether the clock does it",
    "account.reminders": "an account reminds of what is not paid in another way",
    "account.suspended": "an account was suspended",
    "account.reopened": "an account is open again",
    "account.closed": "an account was closed",
    "credential.created": "a credential was made",
    "credential.rotated": "a credential got a new secret",
    "credential.revoked": "a credential was ended",
    "connection.created": "a connection to a vendor was made",
    "connection.asked": "somebody asked for a pull",
    "connection.secret_renewed": "a connection got the secret that took the place of the old one",
    "connection.rekeyed": "a connection's secret was sealed with another key",
    "connection.removed": "a connection to a vendor was removed",
    "webhook.created": "a webhook was made",
    "webhook.changed": "a webhook's address, kinds or description changed",
    "webhook.enabled": "a webhook is told again, from where it stopped",
    "webhook.disabled": "a webhook is told nothing any more: somebody said so, or nothing arrived for three days",
    "webhook.rotated": "a webhook got a new secret",
    "webhook.replayed": "a webhook is told again what came after a change",
    "webhook.test": "somebody wants to see whether a webhook arrives; only that one is told",
    "mail.sent": "a mail was handed to the mail server",
    "mail.failed": "a mail could not be sent, for good or for three days",
    "mail.retried": "a mail that failed is queued again",
    "pull.ended": "a walk through a vendor's list came to an end, whole or not",
}

#: All kinds of one area: ``invoice.*``.
AREAS = sorted({kind.partition(".")[0] for kind in KINDS})


def check_filter(names: Iterable[str]) -> tuple[str, ...]:
    """Kinds and areas to look for. Raises :class:`Invalid` for one that there is not.

    >>> check_filter(["invoice.*", "payment.recorded"])
    ('invoice.*', 'payment.recorded')
    """
    known = {*KINDS, *(f"{area}.*" for area in AREAS)}
    found = tuple(names)
    for name in found:
        if name not in known:
            raise Invalid(
                f"there is no kind of change {name[:64]!r}; see docs/webhooks.md, or `billsmith audit kinds`",
                code="change.unknown_kind",
                where="kinds",
            )
    return found


def expand(names: Sequence[str]) -> list[str]:
    """The kinds that a filter names; all of them where it names none.

    >>> expand(["payment.*"])
    ['payment.recorded', 'payment.refunded']
    """
    areas = {name[:-2] for name in names if name.endswith(".*")}
    return [kind for kind in KINDS if not names or kind in names or kind.partition(".")[0] in areas]
