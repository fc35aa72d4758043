"""What a run did, for whoever started it."""

from __future__ import annotations

import msgspec

from billsmith.invoicing.cases import Case
from billsmith.workflows.billing_cases import Loaded
from billsmith.workflows.billing_work import Drafted, Outcome, Parked


class Billed(msgspec.Struct, frozen=True, kw_only=True):
    """What a run billed to one recipient in one currency, or why it did not. Of a dry run ``number`` is empty."""

    account: str
    name: str
    currency: str
    state: str
    number: str = ""
    invoice: str = ""
    total_minor: int = 0
    code: str = ""
    reason: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What a run did. ``early`` counts recipients for whom the period was not over.

    ``resumed`` where an earlier run was gone on with.
    """

    issuer: str
    run: str = ""
    batch: str = ""
    at: int = 0
    as_of_seq: int = 0
    billed: int = 0
    nothing: int = 0
    parked: int = 0
    early: int = 0
    resumed: bool = False
    totals: dict[str, int] = {}
    rows: list[Billed] = []

    def tell(self, loaded: Loaded, case: Case, outcome: Outcome, *, issued: bool) -> None:
        """One more case was looked at. What was issued has a row of its own in the database, and none here."""
        recipient = loaded.accounts[case.recipient]
        row = Billed(account=recipient.id, name=recipient.name, currency=case.currency, state=state_of(outcome))
        if isinstance(outcome, Drafted):
            self.billed += 1
            self.totals[case.currency] = self.totals.get(case.currency, 0) + outcome.total_minor
            row = msgspec.structs.replace(row, total_minor=outcome.total_minor)
        elif isinstance(outcome, Parked):
            self.parked += 1
            row = msgspec.structs.replace(row, code=outcome.code, reason=outcome.reason)
        else:
            self.nothing += 1
        if not (issued and isinstance(outcome, Drafted)):
            self.rows.append(row)

    def tell_refused(self, loaded: Loaded) -> None:
        """Those of a chunk that can't be billed at all."""
        for seq, (code, reason) in loaded.refused.items():
            account = loaded.accounts[seq]
            self.parked += 1
            self.rows.append(
                Billed(account=account.id, name=account.name, currency="", state="parked", code=code, reason=reason)
            )


def state_of(outcome: Outcome) -> str:
    """The word for what a case came to."""
    return "billed" if isinstance(outcome, Drafted) else "parked" if isinstance(outcome, Parked) else "nothing"
