"""What stands on a document about an account: taken as it is when the document is issued, kept for ever."""

from __future__ import annotations

from billsmith.accounts.model import Account
from billsmith.invoicing.model import Address, Party


def party(account: Account, *, as_issuer: bool = False) -> Party:
    """An account as it stands now. An issuer goes by its billing entity's name where it has one."""
    profile = account.profile
    return Party(
        name=(as_issuer and profile.billing_entity) or account.name,
        address=Address(
            line1=profile.line1,
            line2=profile.line2,
            city=profile.city,
            region=profile.region,
            postal_code=profile.postal_code,
            country=profile.country,
        ),
        tax_ids=profile.tax_ids,
        email=profile.email,
        language=profile.language,
    )
