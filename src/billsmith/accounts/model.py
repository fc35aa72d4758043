"""The account: a node of the tenant tree, provider → reseller or partner → customer."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from billsmith.units.currency import currency_exponent
from billsmith.units.errors import InvalidAccount
from billsmith.units.instants import zone

#: Levels below a root. A path of this depth still fits any index.
MAX_DEPTH = 16
MAX_NAME = 200
MAX_EXTERNAL_ID = 128


class AccountStatus(StrEnum):
    """Whether an account does business. A closed or suspended account's credentials don't count."""

    OPEN = "open"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class Profile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands on a document about an account, as issuer or recipient. ``country`` is an ISO 3166 code of two letters."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""
    tax_ids: tuple[str, ...] = ()
    email: str = ""
    language: str = ""
    billing_entity: str = ""
    """The name under which the account issues; its own name when empty."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A node of the tenant tree.

    ``seq`` is the store's own number and never leaves it; ``path`` holds the numbers from the root down (``/1/7/``), so that
    "at or below" is a prefix. ``external_id`` is unique under its parent.
    """

    seq: int
    id: str
    parent_id: str | None
    path: str
    external_id: str
    name: str
    status: AccountStatus = AccountStatus.OPEN
    currency: str
    time_zone: str
    profile: Profile = Profile()
    created_at: int
    updated_at: int

    def is_at_or_below(self, other: Account) -> bool:
        """Whether this account is ``other`` or lies in its part of the tree."""
        return self.path.startswith(other.path)

    @property
    def depth(self) -> int:
        """Zero for a root."""
        return self.path.count("/") - 2


def check_text(text: str, what: str, limit: int, *, empty: bool = False) -> str:
    """A name or id that people and programs may see: trimmed, not too long, without control characters.

    Raises :class:`InvalidAccount`.

    >>> check_text(" Acme ", "name", 200)
    'Acme'
    """
    trimmed = text.strip()
    if not trimmed and not empty:
        raise InvalidAccount(f"{what} is empty", code="account.empty", where=what)
    if len(trimmed) > limit:
        raise InvalidAccount(f"{what} has {len(trimmed)} characters; at most {limit} fit", code="account.too_long", where=what)
    if not is_clean_text(trimmed):
        raise InvalidAccount(f"{what} holds a control character", code="account.control_character", where=what)
    return trimmed


def is_clean_text(text: str) -> bool:
    """Whether text has neither control characters nor half surrogates, so that any store and terminal can hold it.

    >>> is_clean_text("Müller"), is_clean_text("a" + chr(0))
    (True, False)
    """
    return all(character >= " " and not "\x7f" <= character <= "\x9f" for character in text) and not any(
        "\ud800" <= character <= "\udfff" for character in text
    )


#: The longest of each part of a profile.
MAX_PROFILE_TEXT = 200
MAX_TAX_IDS = 10
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)


def check_profile(profile: Profile) -> Profile:
    """A profile whose every text can stand on a document: trimmed, of bearable length, without control characters.

    Raises :class:`InvalidAccount`, which names the field.

    >>> check_profile(Profile(city=" Delft ", country="NL")).city
    'Delft'
    """
    texts = {
        name: check_text(value, name, MAX_PROFILE_TEXT, empty=True)
        for name, value in msgspec.structs.asdict(profile).items()
        if isinstance(value, str)
    }
    for name, pattern, example in (
        ("country", _COUNTRY, "NL"),
        ("email", _EMAIL, "a@b.example"),
        ("language", _LANGUAGE, "nl-BE"),
    ):
        if texts[name] and not pattern.fullmatch(texts[name]):
            raise InvalidAccount(f"{texts[name]!r} is not a {name} such as {example}", code="account.profile", where=name)
    if len(profile.tax_ids) > MAX_TAX_IDS:
        raise InvalidAccount(f"at most {MAX_TAX_IDS} tax ids fit", code="account.profile", where="tax_ids")
    tax_ids = tuple(check_text(tax_id, "tax_ids", 64) for tax_id in profile.tax_ids)
    return Profile(**texts, tax_ids=tax_ids)


def check_currency(code: str) -> str:
    """An ISO 4217 code. Raises ``Invalid``."""
    currency_exponent(code)
    return code


def check_zone(name: str) -> str:
    """An IANA zone's name. Raises ``InvalidTime``."""
    return zone(name).key
