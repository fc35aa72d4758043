"""Rating and assembly: 10,000 accounts × 30 priced meters, from ready quantities to encoded invoices with traces.

``python -m benchmarks.rating [--accounts N]`` prints invoices per second in one process and in two, and the ratio to a ceiling:
a loop of bare arithmetic over the same numbers in the same exact context, without values, traces, lines or encoding. See
README.md for what it said.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from multiprocessing.synchronize import Barrier
from random import Random
from time import perf_counter, process_time
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
from billsmith.units.rounding import EXACT, ZERO

D = Decimal
_CENT, _VAT = D("0.01"), D("0.21")
_MONTH = Period(1_730_419_200_000_000_000, 1_733_011_200_000_000_000)
_TERMS = Terms(currency="EUR", taxes=(TaxRate(category="", name="VAT", rate=D(21)),))
_ISSUER, _RECIPIENT = Party(name="Acme"), Party(name="A customer")
_ENCODER = msgspec.json.Encoder(decimal_format="string")


class Kind(NamedTuple):
    """A priced meter: the catalog's words, the quantities that it gets, and the same arithmetic bare."""

    price: str
    usage: Callable[[Random], Any]
    bare: Callable[[Any, Any], Decimal]


def _whole(low: int, high: int) -> Callable[[Random], Decimal]:
    return lambda random: D(random.randint(low, high))


def _money(low: int, high: int) -> Callable[[Random], Decimal]:
    return lambda random: D(random.randint(low * 100, high * 100)).scaleb(-2)


_CELLS = {
    (region, model): D(unit)
    for region, row in {
        "eu": {"a100": "0.000611", "h100": "0.001097", "l4": "0.000222"},
        "us": {"a100": "0.000556", "h100": "0.000989", "l4": "0.000194"},
    }.items()
    for model, unit in row.items()
}
_TIERS = ((D(1000), D("0.10")), (D(10_000), D("0.08")), (D(50_000), D("0.05")), (None, D("0.03")))
_VOLUMES = ((D(100), D("2.00")), (D(1000), D("1.50")), (None, D("1.20")))


def _spelled(tiers: Sequence[tuple[Decimal | None, Decimal]]) -> str:
    return ", ".join(f"{{unit_amount: {unit}{'' if end is None else f', up_to: {end}'}}}" for end, unit in tiers)


def _bare_per_unit(price: Any, quantity: Decimal) -> Decimal:
    return EXACT.multiply(quantity, price.unit_amount)


def _bare_graduated(price: Any, quantity: Decimal) -> Decimal:
    amount = lower = ZERO
    for tier in price.tiers:
        end = tier.up_to
        if end is None or quantity <= end:
            return EXACT.add(amount, EXACT.multiply(EXACT.subtract(quantity, lower), tier.unit_amount))
        amount = EXACT.add(amount, EXACT.multiply(EXACT.subtract(end, lower), tier.unit_amount))
        lower = end
    return amount


def _bare_volume(price: Any, quantity: Decimal) -> Decimal:
    for tier in price.tiers:
        if tier.up_to is None or quantity <= tier.up_to:
            return EXACT.multiply(quantity, tier.unit_amount)
    return ZERO


def _bare_package(price: Any, quantity: Decimal) -> Decimal:
    packages = EXACT.divide(quantity, price.size).to_integral_value(ROUND_CEILING)
    return EXACT.multiply(packages, price.amount)


def _bare_matrix(price: Any, cells: list[Quantity]) -> Decimal:
    amount: Any = ZERO
    for cell in cells:
        unit = _CELLS[cell.dimensions["region"], cell.dimensions["model"]]
        amount = EXACT.add(amount, EXACT.multiply(cell.value, unit))
    return amount


def _bare_steps(price: Any, quantity: Decimal) -> Decimal:
    billed = max(EXACT.subtract(quantity, price.free_units), ZERO)
    amount = EXACT.multiply(billed, price.unit_amount)
    off = EXACT.multiply(amount, price.discount_percent.scaleb(-2, EXACT))
    return min(EXACT.subtract(amount, off), price.maximum)


def _bare_percentage(price: Any, amount: Decimal) -> Decimal:
    return EXACT.multiply(amount, price.rate_percent.scaleb(-2, EXACT))


def _bare_sum(price: Any, quantity: Decimal) -> Decimal:
    fee, per_unit = price.prices
    return EXACT.add(fee.amount, EXACT.multiply(quantity, per_unit.unit_amount))


def _bare_minimum(price: Any, quantity: Decimal) -> Decimal:
    return max(EXACT.multiply(quantity, price.unit_amount), price.minimum)


def _seconds_by_cell(random: Random) -> list[Quantity]:
    return [Quantity(D(random.randint(1, 80_000)), dimensions={"region": region, "model": model}) for region, model in _CELLS]


KINDS: tuple[Kind, ...] = (
    Kind("{model: per_unit, unit_amount: 0.0125}", _whole(0, 100_000), _bare_per_unit),
    Kind(f"{{model: graduated, tiers: [{_spelled(_TIERS)}]}}", _whole(0, 90_000), _bare_graduated),
    Kind(
        "{model: matrix, dimensions: [region, model], cells: ["
        + ", ".join(
            f"{{when: {{region: {region}, model: {model}}}, price: {{model: per_unit, unit_amount: {unit}}}}}"
            for (region, model), unit in _CELLS.items()
        )
        + "]}",
        _seconds_by_cell,
        _bare_matrix,
    ),
    Kind(f"{{model: volume, tiers: [{_spelled(_VOLUMES)}]}}", _whole(0, 2_000), _bare_volume),
    Kind("{model: package, size: 1000, amount: 0.70}", _whole(0, 90_000), _bare_package),
    Kind(f"{{model: graduated, tiers: [{_spelled(_TIERS)}]}}", _whole(0, 9_000), _bare_graduated),
    Kind(
        "{model: per_unit, unit_amount: 0.0125, free_units: 1000, discount_percent: 10, maximum: 90}",
        _whole(0, 9_000),
        _bare_steps,
    ),
    Kind("{model: percentage, rate_percent: 1.4}", _money(0, 900), _bare_percentage),
    Kind(
        "{model: sum, prices: [{model: flat, amount: 5.00}, {model: per_unit, unit_amount: 0.003}]}",
        _whole(0, 5_000),
        _bare_sum,
    ),
    Kind("{model: per_unit, unit_amount: 0.70, minimum: 5.00}", _whole(0, 20), _bare_minimum),
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
        span = UsageSpan(offer=PlanRef(code="plan"), charge=charge, part=_MONTH, whole=_MONTH)
        price = read_as(Price, KINDS[index % len(KINDS)].price, "benchmark")
        made.append(Meter(price, Context(currency="EUR", unit="units"), span))
    return made


def ready(accounts: int, seed: int) -> list[list[Any]]:
    """The quantities of every account and meter."""
    random = Random(seed)
    return [[KINDS[index % len(KINDS)].usage(random) for index in range(METERS)] for _ in range(accounts)]


def invoice(priced: Sequence[Meter], usages: Sequence[Given]) -> tuple[int, bytes]:
    """One account: rate, assemble, encode."""
    lines = [
        usage_line(rate(meter.price, usage, meter.context), meter.span, subscription="s")
        for meter, usage in zip(priced, usages, strict=True)
    ]
    assembled = assemble(lines, _TERMS)
    return assembled.totals.total_minor, _ENCODER.encode(assembled.content(_ISSUER, _RECIPIENT))


def bare(priced: Sequence[Meter], row: Sequence[Any]) -> int:
    """The same amounts, computed as exactly, and nothing else."""
    cents = ZERO
    for index, usage in enumerate(row):
        amount = KINDS[index % len(KINDS)].bare(priced[index].price, usage)
        cents = EXACT.add(cents, amount.quantize(_CENT, ROUND_HALF_UP))
    tax = EXACT.multiply(cents, _VAT).quantize(_CENT, ROUND_HALF_UP)
    return int(EXACT.add(cents, tax).scaleb(2, EXACT))


class Result(NamedTuple):
    """What one process measured."""

    seconds: float
    cpu_seconds: float
    total_minor: int
    encoded_bytes: int


def run(accounts: int, seed: int, barrier: Barrier | None = None) -> Result:
    """Invoice all accounts of one process; making the numbers isn't counted."""
    priced, rows = meters(), ready(accounts, seed)
    invoice(priced, rows[0])
    if barrier is not None:
        barrier.wait()
    total, size = 0, 0
    start, cpu = perf_counter(), process_time()
    for row in rows:
        minor, encoded = invoice(priced, row)
        total += minor
        size += len(encoded)
    return Result(perf_counter() - start, process_time() - cpu, total, size)


def run_bare(accounts: int, seed: int) -> Result:
    """The ceiling: the bare loop over the same numbers."""
    priced, rows = meters(), ready(accounts, seed)
    start, cpu = perf_counter(), process_time()
    total = sum(bare(priced, row) for row in rows)
    return Result(perf_counter() - start, process_time() - cpu, total, 0)


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
    seconds, cpu = max(result.seconds for result in results), sum(result.cpu_seconds for result in results)
    return Result(seconds, cpu, sum(result.total_minor for result in results), 0)


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
        "one process, invoices per CPU second": round(accounts / one.cpu_seconds),
        "engine against bare, CPU seconds": round(one.cpu_seconds / ceiling.cpu_seconds, 1),
        "bytes per invoice": round(one.encoded_bytes / accounts),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rating")
    parser.add_argument("--accounts", type=int, default=10_000)
    for name, value in measure(parser.parse_args().accounts).items():
        print(f"{name}: {value:,}")


if __name__ == "__main__":
    main()
