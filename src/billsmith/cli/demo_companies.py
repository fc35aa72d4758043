"""The demo's four companies: what they offer (the example catalogs), who buys it, and how much they use. Data alone."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a type that a customer sends each month: how many, and from which to which value each.

    ``dimensions`` are texts, of which each event has one; ``numbers`` are dimensions that hold a whole number, from, to (of
    what is stored: by how much it changed).
    """

    type: str
    events: int
    value: tuple[int, int] = (1, 1)
    dimensions: Mapping[str, tuple[str, ...]] = {}
    numbers: Mapping[str, tuple[int, int]] = {}


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with its plan. ``prepaid`` is credit that it bought at the start, in its currency."""

    id: str
    name: str
    country: str
    plan: str
    habits: tuple[Habit, ...]
    quantities: Mapping[str, Decimal] = {}
    coupon: str = ""
    prepaid: Decimal | None = None


class Company(msgspec.Struct, frozen=True, kw_only=True):
    """A company that bills, with the example catalog that it bills by."""

    id: str
    name: str
    catalog: str
    currency: str
    zone: str
    country: str
    customers: tuple[Customer, ...]


def _calls(most: int) -> Habit:
    return Habit(type="api.call", events=20, value=(most // 4, most))


_STORED = Habit(type="storage.changed", events=3, numbers={"gb": (-5, 20)})


def _gpu(events: int, models: tuple[str, ...]) -> Habit:
    return Habit(type="gpu.seconds", events=events, value=(600, 40_000), dimensions={"region": ("eu", "us"), "model": models})


def _tokens(events: int, models: tuple[str, ...]) -> Habit:
    return Habit(
        type="completion",
        events=events,
        dimensions={"model": models, "tools": ("yes", "no", "no")},
        numbers={"tokens_in": (20_000, 900_000), "tokens_out": (5_000, 300_000)},
    )


def _hosting(sites: tuple[str, ...], gb: int) -> tuple[Habit, ...]:
    return (
        Habit(type="disk.changed", events=4, numbers={"gb": (-gb // 40, gb // 10)}),
        Habit(type="mailbox.changed", events=2, dimensions={"mailbox": ("info", "sales", "office"), "operation": ("add",)}),
        Habit(type="traffic", events=12, dimensions={"site": sites}, numbers={"gb": (1, gb // 4)}),
    )


COMPANIES = (
    Company(
        id="acme-api",
        name="Acme API",
        catalog="api-company",
        currency="EUR",
        zone="Europe/Amsterdam",
        country="NL",
        customers=(
            Customer(
                id="quiet-harbour",
                name="Quiet Harbour",
                country="NL",
                plan="starter",
                habits=(_calls(9_000), _STORED),
                quantities={"seats": Decimal(12)},
                coupon="WELCOME",
            ),
            Customer(id="tall-pines", name="Tall Pines", country="DE", plan="starter", habits=(_calls(60_000), _STORED)),
            Customer(id="iron-bridge", name="Iron Bridge", country="NL", plan="business", habits=(_calls(30_000),)),
        ),
    ),
    Company(
        id="warm-metal",
        name="Warm Metal",
        catalog="gpu-cloud",
        currency="USD",
        zone="America/New_York",
        country="US",
        customers=(
            Customer(
                id="protein-lab",
                name="Protein Lab",
                country="US",
                plan="on-demand",
                habits=(
                    _gpu(25, ("a100", "h100")),
                    Habit(type="spot.seconds", events=10, value=(900, 14_400)),
                    Habit(type="memory.sampled", events=15, value=(16, 320)),
                ),
            ),
            Customer(id="film-works", name="Film Works", country="US", plan="on-demand", habits=(_gpu(18, ("h100", "l40")),)),
        ),
    ),
    Company(
        id="north-hosting",
        name="North Hosting",
        catalog="hosting-reseller",
        currency="EUR",
        zone="Europe/Berlin",
        country="DE",
        customers=(
            Customer(
                id="village-web", name="Village Web", country="DE", plan="reseller", habits=_hosting(("a", "b", "c", "d"), 400)
            ),
            Customer(id="bakery", name="Corner Bakery", country="DE", plan="web", habits=_hosting(("bakery",), 30)),
            Customer(id="cycles", name="Hill Cycles", country="DE", plan="web", habits=_hosting(("shop", "blog"), 90)),
        ),
    ),
    Company(
        id="chatty",
        name="Chatty",
        catalog="llm-product",
        currency="USD",
        zone="America/Los_Angeles",
        country="US",
        customers=(
            Customer(
                id="help-desk",
                name="Help Desk",
                country="US",
                plan="builder",
                habits=(_tokens(30, ("small", "small", "large")),),
                prepaid=Decimal(400),
            ),
            Customer(id="story-app", name="Story App", country="US", plan="builder", habits=(_tokens(20, ("small",)),)),
            Customer(
                id="law-firm",
                name="Law Firm",
                country="US",
                plan="builder",
                habits=(_tokens(15, ("large",)),),
                coupon="LAUNCH",
            ),
        ),
    ),
)
