"""A store with something of everything in it, for tests of what must survive: backups, upgrades, verification."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from billsmith.accounts.authorisation import CredentialKind
from billsmith.accounts.model import Account, Profile
from billsmith.invoicing.totals import DraftLine
from billsmith.storage import credentials as credential_store
from billsmith.vendors.acronis import load as acronis
from billsmith.workflows import credentials, settle
from tests.support.house import DATE, VAT, House

ACRONIS = Path(__file__).parents[1] / "cases" / "acronis" / "invoice-overview.json"


def stock(house: House) -> dict[str, Account]:
    """Three levels of accounts, keys of each kind, invoices of ours and of a vendor, payments, a void one, a token."""
    profile = Profile(line1="Straße 1", city="Köln", country="DE", tax_ids=("DE1",), email="a@b.example")
    root = house.account("Root", external_id="root", profile=profile)
    partner = house.account("Partner =1+1", root, external_id="partner")
    customer = house.account("Customer \N{SNOWMAN}", partner, external_id="customer", currency="JPY")
    for kind in (CredentialKind.API_KEY, CredentialKind.BASIC, CredentialKind.OAUTH_CLIENT):
        house.key(partner, kind, label=kind.value)
    house.key(root, CredentialKind.USER, password="correct horse battery")
    house.acronis_token(partner)
    lines = [
        DraftLine(description="Seats", amount=Decimal("10.005"), tax_category="standard", quantity=Decimal("2.5")),
        DraftLine(description="Support", amount=Decimal("-3.33"), tax_category="standard", trace=("3 x 1.11",)),
    ]
    paid = house.invoice(root, partner, lines=lines, taxes=[VAT], due_date=DATE, batch="7")
    part = house.invoice(root, partner, "50.00")
    gone = house.invoice(partner, customer, "700")
    house.invoice(root, customer, "-20")
    house.invoice(partner, partner, "1.00", send_by_email=True)
    with house.database.write() as connection:
        for found, amount, reference in ((paid, paid.invoice.total_minor, "bank 1"), (part, 2000, "bank 2")):
            settle.record_payment(
                connection, found, amount_minor=amount, reference=reference, now=house.now, actor="test", method="transfer"
            )
        settle.void(connection, gone, now=house.now, actor="test", reason="sent twice")
    report = acronis.load(house.database, partner, ACRONIS.read_bytes(), now=house.now)
    assert (report.added, report.errors) == (3, [])
    with house.database.write() as connection:
        key, _ = credentials.create(connection, root, CredentialKind.API_KEY, now=house.now)
        credential_store.revoke(connection, key.id, house.now)
    return {"root": root, "partner": partner, "customer": customer}
