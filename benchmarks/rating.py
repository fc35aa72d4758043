"""Rating and assembly: 10,000 accounts × 30 priced meters, from ready quantities to encoded invoices with traces.

``python -m benchmarks.rating [--accounts N]`` prints invoices per second in one process and in two, and the ratio to a ceiling:
a loop of bare arithmetic over the same numbers, without values, traces, lines or encoding. See README.md for what it said.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from multiprocessing.synchronize import Barrier
from random import Random
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

import billsmith.rating  # noqa: F401 (loads the price models)
from billsmith.catalog.offer import UsageCharge
from billsmith.catalog.price import Price
from billsmith.catalog.reading import read_as
from billsmith.invoicing.assembly import assemble
from billsmith.invoicing.billing import usage_line
from billsmith.invoicing.model import Party
from billsmith.invoicing.terms import Terms
from billsmith.invoicing.totals import TaxRate
from billsmith.metering.quantity import Quantity
from billsmith.rating import Context, rate
from billsmith.rating.usage import Given
from billsmith.subscriptions.spans import UsageSpan
from billsmith.subscriptions.subscription import PlanRef
from billsmith.units.periods import Period

D = Decimal
_CENT = D("0.01")
_MONTH = Period(1_730_419_200_000_000_000, 1_733_011_200_000_000_000)
_TERMS = Terms(currency="EUR", taxes=(TaxRate(category="", name="VAT", rate=D(21)),))
_ISSUER, _RECIPIENT = Party(name="Acme"), Party(name="A customer")
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Kind(NamedTuple):
    """A priced meter: the catalog's words, the quantities that it gets, and the same arithmetic bare."""

    price: str
    usage: Callable[[Random], Any]
    bare: Callable[[Any], Decimal]


def _whole(low: int, high: int) -> Callable[[Random], Decimal]:
    return lambda random: D(random.randint(low, high))


def _places(low: int, high: int, places: int) -> Callable[[Random], Decimal]:
    return lambda random: D(random.randint(low * 10**places, high * 10**places)).scaleb(-places)


def _cells(random: Random) -> list[tuple[str, str, Decimal]]:
    pairs = random.sample([(region, size) for region in ("eu", "us") for size in ("s", "m", "l")], 2)
    return [(region, size, D(random.randint(1, 80_000))) for region, size in pairs]


_MATRIX = {("eu", "s"): D("0.0005"), ("eu", "m"): D("0.0008"), ("us", "s"): D("0.0004"), ("us", "m"): D("0.0007")}


def _bare_graduated(quantity: Decimal) -> Decimal:
    amount = min(quantity, D(1000)) * D("0.10")
    if quantity > 1000:
        amount += (min(quantity, D(10_000)) - 1000) * D("0.08")
    if quantity > 10_000:
        amount += (quantity - 10_000) * D("0.05")
    return amount


def _bare_volume(quantity: Decimal) -> Decimal:
    unit = D("2.00") if quantity <= 100 else D("1.50") if quantity <= 1000 else D("1.20")
    return quantity * unit


def _bare_matrix(cells: list[tuple[str, str, Decimal]]) -> Decimal:
    return sum((quantity * _MATRIX.get((region, size), D("0.0009")) for region, size, quantity in cells), D(0))


KINDS: tuple[Kind, ...] = (
    Kind("{model: per_unit, unit_amount: 0.0125}", _whole(0, 100_000), lambda q: q * D("0.0125")),
    Kind("{model: per_unit, unit_amount: 0.12}", _places(0, 500, 3), lambda q: q * D("0.12")),
    Kind(
        "{model: graduated, tiers: [{up_to: 1000, unit_amount: 0.10}, {up_to: 10000, unit_amount: 0.08}, {unit_amount: 0.05}]}",
        _whole(0, 30_000),
        _bare_graduated,
    ),
    Kind(
        "{model: volume, tiers: [{up_to: 100, unit_amount: 2.00}, {up_to: 1000, unit_amount: 1.50}, {unit_amount: 1.20}]}",
        _whole(0, 2_000),
        _bare_volume,
    ),
    Kind(
        "{model: package, size: 1000, amount: 0.70}",
        _whole(0, 90_000),
        lambda q: (q / 1000).to_integral_value(ROUND_CEILING) * D("0.70"),
    ),
    Kind(
        "{model: matrix, dimensions: [region, size], cells: ["
        + ", ".join(
            f"{{when: {{region: {region}, size: {size}}}, price: {{model: per_unit, unit_amount: {unit}}}}}"
            for (region, size), unit in _MATRIX.items()
        )
        + "], otherwise: {model: per_unit, unit_amount: 0.0009}}",
        _cells,
        _bare_matrix,
    ),
    Kind(
        "{model: per_unit, unit_amount: 0.05, free_units: 100, discount_percent: 10, maximum: 90}",
        _whole(0, 3_000),
        lambda q: min(max(q - 100, D(0)) * D("0.05") * D("0.9"), D(90)),
    ),
    Kind("{model: percentage, rate_percent: 1.4}", _places(0, 900, 2), lambda q: q * D("0.014")),
    Kind(
        "{model: sum, prices: [{model: flat, amount: 5.00}, {model: per_unit, unit_amount: 0.003}]}",
        _whole(0, 5_000),
        lambda q: D("5.00") + q * D("0.003"),
    ),
    Kind("{model: per_unit, unit_amount: 1.10, minimum: 3.00}", _whole(0, 20), lambda q: max(q * D("1.10"), D("3.00"))),
)
METERS = 30


class Meter(NamedTuple):
    """What the run needs of a priced meter."""

    price: Price
    context: Context
    span: UsageSpan


def meters() -> list[Meter]:
    """Thirty priced meters: each kind three times."""
    made = []
    for index in range(METERS):
        charge = UsageCharge(meter=f"meter-{index}", name=f"Meter {index}")
        span = UsageSpan(subscription="s", offer=PlanRef(code="plan"), charge=charge, part=_MONTH, whole=_MONTH)
        price = read_as(Price, KINDS[index % len(KINDS)].price, "benchmark")
        made.append(Meter(price, Context(currency="EUR", unit="units"), span))
    return made


def numbers(accounts: int, seed: int) -> list[list[Any]]:
    """The plain numbers of every account and meter."""
    random = Random(seed)
    return [[KINDS[index % len(KINDS)].usage(random) for index in range(METERS)] for _ in range(accounts)]


def ready(rows: list[list[Any]]) -> list[list[Given]]:
    """The same as quantities."""
    return [
        [
            [Quantity(value, dimensions={"region": region, "size": size}) for region, size, value in usage]
            if isinstance(usage, list)
            else usage
            for usage in row
        ]
        for row in rows
    ]


def invoice(priced: Sequence[Meter], usages: Sequence[Given]) -> tuple[int, bytes]:
    """One account: rate, assemble, encode."""
    lines = [
        usage_line(rate(meter.price, usage, meter.context), meter.span) for meter, usage in zip(priced, usages, strict=True)
    ]
    assembled = assemble(lines, _TERMS)
    return assembled.totals.total_minor, _ENCODER.encode(assembled.content(_ISSUER, _RECIPIENT))


def bare(row: Sequence[Any]) -> int:
    """The same amounts and nothing else."""
    cents = D(0)
    for index, usage in enumerate(row):
        cents += KINDS[index % len(KINDS)].bare(usage).quantize(_CENT, ROUND_HALF_UP)
    return int((cents + (cents * D("0.21")).quantize(_CENT, ROUND_HALF_UP)) * 100)


class Result(NamedTuple):
    """What one process measured."""

    seconds: float
    total_minor: int
    encoded_bytes: int


def run(accounts: int, seed: int, barrier: Barrier | None = None) -> Result:
    """Invoice all accounts of one process; making the numbers isn't counted."""
    priced, rows = meters(), ready(numbers(accounts, seed))
    invoice(priced, rows[0])
    if barrier is not None:
        barrier.wait()
    total, size = 0, 0
    start = perf_counter()
    for row in rows:
        minor, encoded = invoice(priced, row)
        total += minor
        size += len(encoded)
    return Result(perf_counter() - start, total, size)


def run_bare(accounts: int, seed: int) -> Result:
    """The ceiling: the bare loop over the same numbers."""
    rows = numbers(accounts, seed)
    start = perf_counter()
    total = sum(bare(row) for row in rows)
    return Result(perf_counter() - start, total, 0)


def _child(accounts: int, seed: int, barrier: Barrier, queue: Any) -> None:
    queue.put(run(accounts, seed, barrier))


def run_two(accounts: int) -> Result:
    """Two processes with half of the accounts each; the slower one counts."""
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    children = [context.Process(target=_child, args=(accounts // 2, seed, barrier, queue)) for seed in (1, 2)]
    for child in children:
        child.start()
    results: list[Result] = [queue.get() for _ in children]
    for child in children:
        child.join()
    return Result(max(result.seconds for result in results), sum(result.total_minor for result in results), 0)


def measure(accounts: int) -> dict[str, float]:
    """Invoices per second and the ratios between them."""
    one, ceiling = run(accounts, 0), run_bare(accounts, 0)
    assert one.total_minor == ceiling.total_minor, "the bare loop and the engine must come to the same cent"
    two = run_two(accounts)
    return {
        "accounts": accounts,
        "meters": METERS,
        "one process, invoices/s": round(accounts / one.seconds),
        "two processes, invoices/s": round(accounts / two.seconds),
        "two against one": round(one.seconds / two.seconds, 2),
        "bare arithmetic, accounts/s": round(accounts / ceiling.seconds),
        "engine against bare": round(one.seconds / ceiling.seconds, 1),
        "bytes per invoice": round(one.encoded_bytes / accounts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rating")
    parser.add_argument("--accounts", type=int, default=10_000)
    for name, value in measure(parser.parse_args().accounts).items():
        print(f"{name}: {value:,}")


if __name__ == "__main__":
    main()
