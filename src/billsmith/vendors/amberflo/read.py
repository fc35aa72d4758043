"""Amberflo's invoices from a file, as ours. The way out is ``translate.py``.

The bill's ``totalPrice`` is authoritative. Items, fees, promotions, commitments and fees on the invoice become lines; where a
list is empty but the bill has an amount for it, one line carries that amount; what the total says beyond them is a line of
kind ``unexplained``. Every field but the key and the total may be absent or ``null``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec

from billsmith.accounts.model import is_clean_text
from billsmith.invoicing.model import Content, Invoice, InvoiceKind, InvoiceStatus, Line, LineKind, Period, RoundingPlace
from billsmith.invoicing.totals import DraftLine, total
from billsmith.units.currency import currency_exponent, to_minor
from billsmith.units.errors import BillsmithError, Invalid
from billsmith.units.ids import derived_id
from billsmith.units.instants import DAY, SECOND, local_date, start_of_day
from billsmith.units.rounding import EXACT, parse_decimal
from billsmith.vendors.amberflo import extras
from billsmith.vendors.amberflo.extras import VENDOR
from billsmith.vendors.amberflo.shapes import (
    NO_AMOUNT,
    PRODUCT_ID,
    BillingPeriod,
    CreditUnit,
    Currency,
    Extras,
    Int,
    PaymentCurrencyInfo,
    StatedBill,
    StatedCreditUnit,
    StatedCurrencies,
    StatedCurrency,
    StatedInterval,
    StatedInvoice,
    StatedItem,
    StatedKey,
    StatedPage,
    StatedVariant,
    Text,
    TextMap,
)
from billsmith.vendors.amberflo.translate import VendorKey
from billsmith.wire.json import decode, decode_part
from billsmith.workflows.import_invoices import NOBODY, Imported, RowError, stated_lines
from billsmith.workflows.issue_invoice import MAX_LINES, MAX_TOTAL_MINOR

#: Amberflo writes doubles: their shortest text can have this many places.
MAX_PLACES = 30
MAX_TEXT = 200
MAX_KEY = 255
#: Seconds up to which an instant fits the store, early in the year 2262.
_LAST_SECOND = 9_200_000_000
_NOT_FINAL = ("open", "grace_period")


def read(body: bytes, *, currency: str) -> Iterator[Imported | RowError]:
    """The invoices of a saved answer: the list, one page, one invoice, or ``null``. ``currency`` is for those that name none.

    Raises ``Invalid`` when the file is no such answer; a row that can't be read comes back as a :class:`RowError`.
    """
    return read_rows(rows_of(body), currency=currency)


def read_rows(rows: Iterable[tuple[str, msgspec.Raw]], *, currency: str) -> Iterator[Imported | RowError]:
    """The invoices of an answer's rows, each with its place; one that can't be read comes back as a :class:`RowError`."""
    for place, raw in rows:
        try:
            yield _Reading(decode_part(raw, StatedInvoice), currency).imported(place)
        except BillsmithError as error:
            where = ".".join(part for part in (place, error.where) if part)
            yield RowError(where=where, code=error.code, message=error.message, vendor_key=key_of(raw))


def key_of(raw: msgspec.Raw) -> str:
    """An invoice's key, though the invoice can't be read; empty where it has none."""
    try:
        return _Reading(decode_part(raw, _Named).as_invoice(), "USD").key().text()
    except BillsmithError:
        return ""


def rows_of(body: bytes) -> list[tuple[str, msgspec.Raw]]:
    """The rows of an answer in any of its forms, each with its place. Raises ``Invalid`` when it is none."""
    shape = decode(body, list[msgspec.Raw] | dict[str, msgspec.Raw] | None)  # type: ignore[arg-type]
    if shape is None:
        return []
    if isinstance(shape, list):
        return [(f"[{index}]", raw) for index, raw in enumerate(shape)]
    if "pageInfo" in shape or "data" in shape:
        return [(f"data[{index}]", raw) for index, raw in enumerate(decode(body, StatedPage).data)]
    return [("", msgspec.Raw(body))]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """What makes an invoice's key."""

    invoiceKey: StatedKey  # noqa: N815
    invoiceStartTimeInSeconds: Int = None  # noqa: N815

    def as_invoice(self) -> StatedInvoice:
        """An invoice of nothing else."""
        return StatedInvoice(
            invoiceKey=self.invoiceKey,
            invoiceStartTimeInSeconds=self.invoiceStartTimeInSeconds,
            totalBill=StatedBill(totalPrice=NO_AMOUNT),
        )


class _Reading:
    """One invoice of the file."""

    def __init__(self, row: StatedInvoice, currency: str) -> None:
        self.row = row
        start = _second(row.invoiceStartTimeInSeconds or 0, "invoiceStartTimeInSeconds")
        first = _date(row.invoiceKey, local_date(start * SECOND, "UTC"))
        # Without times the invoice is of the one day that its key names.
        self.start = start or start_of_day(first, "UTC") // SECOND
        self.end = _second(row.invoiceEndTimeInSeconds or self.start + DAY // SECOND, "invoiceEndTimeInSeconds")
        if self.end <= self.start:
            raise Invalid("the invoice ends before it starts", code="import.period", where="invoiceEndTimeInSeconds")
        self.currencies = _currencies(row.paymentCurrencyInfo)
        self.currency = _currency_code(self.currencies, currency)
        currency_exponent(self.currency)

    def imported(self, where: str) -> Imported:
        row, key = self.row, self.key()
        status = _status(row)
        total_price = _amount(row.totalBill.totalPrice, "totalBill.totalPrice")
        total_minor = _minor(total_price, self.currency, "totalBill.totalPrice")
        ends_at = self.end * SECOND
        paid = status is InvoiceStatus.PAID
        created = _second(row.paymentCreatedInSeconds or 0, "paymentCreatedInSeconds")
        return Imported(
            where=where,
            vendor=VENDOR,
            vendor_key=key.text(),
            recipient=key.customer,
            recipient_name="",
            invoice=Invoice(
                id="",
                issuer_id="",
                recipient_id="",
                kind=InvoiceKind.CREDIT_NOTE if total_minor < 0 else InvoiceKind.INVOICE,
                number=f"AF-{key.date.isoformat()}-{derived_id(VENDOR, key.text())[:8]}",
                status=status,
                currency=self.currency,
                total_minor=total_minor,
                paid_minor=total_minor if paid else 0,
                stated_total=total_price,
                customer_name="",
                date=local_date(ends_at, "UTC"),
                period=Period(self.start * SECOND, ends_at),
                created_at=ends_at,
                issued_at=ends_at,
                paid_at=(created * SECOND or ends_at) if paid else None,
                extras=extras.keep(self.extras(paid, created)),
                content=Content(
                    issuer=NOBODY,
                    recipient=NOBODY,
                    lines=self.lines(total_price, total_minor),
                    rounding_place=RoundingPlace.INVOICE,
                ),
            ),
        )

    def key(self) -> VendorKey:
        """The vendor's key of the invoice. Its day is the first of the period, in UTC or in a zone beside it."""
        given = self.row.invoiceKey
        customer = _text(given.customerId, "invoiceKey.customerId", 128, empty=False)
        product = given.productId or PRODUCT_ID
        if product != PRODUCT_ID:
            raise Invalid('productId is not "1"', code="amberflo.product", where="invoiceKey.productId")
        plan = _text(given.productPlanId, "invoiceKey.productPlanId")
        first = local_date(self.start * SECOND, "UTC")
        date = _date(given, first)
        if abs((date - first).days) > 1:
            raise Invalid(f"the key says {date}, the period starts on {first}", code="import.period", where="invoiceKey.day")
        key = VendorKey(customer, product, plan, date)
        if len(key.text()) > MAX_KEY:
            raise Invalid("customer and plan ids are too long together", code="import.id", where="invoiceKey.productPlanId")
        return key

    def extras(self, paid: bool, payment_created: int) -> Extras:
        row = self.row
        not_needed = paid and (row.paymentStatus or "").lower() == "not_needed"
        return Extras(
            accountId=_text(row.invoiceKey.accountId, "invoiceKey.accountId"),
            availablePayAsYouGoMoney=self.beside("availablePayAsYouGoMoney"),
            availablePayAsYouGoMoneyInBaseCurrency=self.beside("availablePayAsYouGoMoneyInBaseCurrency"),
            availablePayAsYouGoMoneyInCredits=self.beside("availablePayAsYouGoMoneyInCredits"),
            availablePrepaidLeft=self.beside("availablePrepaidLeft"),
            availablePrepaidLeftBaseCurrency=self.beside("availablePrepaidLeftBaseCurrency"),
            availablePrepaidLeftInCredits=self.beside("availablePrepaidLeftInCredits"),
            creditUnit=_credit_unit(row.creditUnit),
            externalSystemStatus=_text(row.externalSystemStatus, "externalSystemStatus"),
            gracePeriodInHours=_count(row.gracePeriodInHours, "gracePeriodInHours"),
            paymentCreatedInSeconds=0 if paid and not not_needed else payment_created,
            paymentNotNeeded=not_needed,
            paymentCurrencyInfo=self.payment_currency(),
            planBillingPeriod=_interval(row.planBillingPeriod),
            planName=_text(row.planName, "planName"),
        )

    def beside(self, name: str) -> Decimal:
        return _amount(getattr(self.row, name), name)

    def payment_currency(self) -> PaymentCurrencyInfo | None:
        """Kept only where payment is asked in another currency than the invoice's."""
        base, rate, payment = self.currencies
        if payment in ("", self.currency):
            return None
        code = base or self.currency
        return PaymentCurrencyInfo(
            basePlanCurrency=Currency(currencyCode=code), exchangeRate=rate, paymentCurrency=Currency(currencyCode=payment)
        )

    def lines(self, total_price: Decimal, total_minor: int) -> tuple[Line, ...]:
        """The invoice's lines, rounded together: the vendor rounds nothing line by line."""
        drafts = [*self.usage(), *self.fees(), *self.promotions(), *self.commitments(), *self.invoice_fees(), *self.prepaid()]
        if len(drafts) > MAX_LINES:
            raise Invalid(f"the invoice has more than {MAX_LINES} lines", code="invoice.too_many_lines")
        for draft in drafts:
            assert isinstance(draft.amount, Decimal)
            _minor(draft.amount, self.currency, draft.description)
        lines = total(drafts, currency=self.currency, place=RoundingPlace.INVOICE).lines
        return stated_lines(lines, total_minor, self.currency, stated_by="Amberflo", stated_total=total_price)

    def usage(self) -> Iterator[DraftLine]:
        """A line for each variant of an item; the item's own bill where its variants do not add up to it."""
        items = self.row.productItemInvoices or []
        for index, item in enumerate(items):
            where = f"productItemInvoices[{index}]"
            variants = item.productItemVariants or []
            whole = item.totalBill
            shares = [_amount(each.totalBill.price, f"{where}.price") for each in variants]
            if whole is not None and (not variants or _sum(shares) != _amount(whole.price, f"{where}.totalBill.price")):
                variants = [StatedVariant(totalBill=whole)]
            for variant in variants:
                yield self.usage_line(item, variant, where)
        if not items:
            yield from self.in_one("itemPrice", LineKind.USAGE, "usage as stated by Amberflo")

    def usage_line(self, item: StatedItem, variant: StatedVariant, where: str) -> DraftLine:
        bill = variant.totalBill
        units = _amount(bill.meterUnits, f"{where}.meterUnits")
        meter = _text(item.meterApiName, f"{where}.meterApiName")
        id = _text(item.productItemId, f"{where}.productItemId")
        return DraftLine(
            description=_text(item.productItemName, f"{where}.productItemName") or meter or id or "usage",
            amount=_amount(bill.price, f"{where}.price"),
            kind=LineKind.USAGE,
            quantity=units,
            meter=meter,
            component=id,
            dimensions=_map(variant.itemDimensions, f"{where}.itemDimensions"),
            period=self.span(bill.startTimeInSeconds, bill.endTimeInSeconds, where),
        )

    def fees(self) -> Iterator[DraftLine]:
        fees = self.row.productPlanFees or []
        for index, fee in enumerate(fees):
            where = f"productPlanFees[{index}]"
            flags = ("discountable", "isOneTimeFee", "isProrated", "prepayable", "prorateToDay")
            description = _text(fee.description, f"{where}.description", 1000)
            id = _text(fee.id, f"{where}.id")
            yield DraftLine(
                description=_text(fee.name, f"{where}.name") or id or "fee",
                amount=_amount(fee.cost, f"{where}.cost"),
                component=id,
                dimensions={flag: "true" for flag in flags if getattr(fee, flag)},
                trace=(description,) if description else (),
            )
        if not fees:
            yield from self.in_one("fixPrice", LineKind.FEE, "fees as stated by Amberflo")

    def promotions(self) -> Iterator[DraftLine]:
        promotions = self.row.appliedPromotions or []
        for index, promotion in enumerate(promotions):
            where = f"appliedPromotions[{index}]"
            id = _text(promotion.promotionId, f"{where}.promotionId")
            applied = promotion.promotionAppliedTimeInSeconds
            yield DraftLine(
                description=_text(promotion.promotionName, f"{where}.promotionName") or id or "discount",
                amount=EXACT.minus(_amount(promotion.discount, f"{where}.discount")),
                kind=LineKind.COUPON if (promotion.promotionType or "").lower() == "coupon" else LineKind.DISCOUNT,
                component=id,
                plan=_text(promotion.entityId or promotion.entityTd, f"{where}.entityId"),
                dimensions=_map(promotion.dimensions, f"{where}.dimensions"),
                period=self.span(applied, self.end, where) if applied else None,
            )
        if not promotions:
            yield from self.in_one("totalDiscount", LineKind.DISCOUNT, "discounts as stated by Amberflo", -1)

    def commitments(self) -> Iterator[DraftLine]:
        commitments = self.row.appliedCommitments or []
        for index, commitment in enumerate(commitments):
            where = f"appliedCommitments[{index}]"
            id = _text(commitment.commitmentId, f"{where}.commitmentId")
            yield DraftLine(
                description=_text(commitment.obligationName, f"{where}.obligationName") or id or "commitment",
                amount=_amount(commitment.feeAmount, f"{where}.feeAmount"),
                kind=LineKind.TRUE_UP,
                component=id,
                plan=_text(commitment.obligationId, f"{where}.obligationId"),
            )
        if not commitments:
            yield from self.in_one("commitmentsFees", LineKind.TRUE_UP, "commitments as stated by Amberflo")

    def invoice_fees(self) -> Iterator[DraftLine]:
        fees = self.row.appliedInvoiceBasedFees or []
        for index, fee in enumerate(fees):
            where = f"appliedInvoiceBasedFees[{index}]"
            id = _text(fee.feeId, f"{where}.feeId")
            yield DraftLine(
                description=_text(fee.feeName, f"{where}.feeName") or id or "fee on the invoice",
                amount=_amount(fee.feeAmount, f"{where}.feeAmount"),
                kind=LineKind.ADJUSTMENT,
                component=id,
            )
        if not fees:
            yield from self.in_one("invoiceBasedFees", LineKind.ADJUSTMENT, "fees on the invoice as stated by Amberflo")

    def prepaid(self) -> Iterator[DraftLine]:
        yield from self.in_one("prepaid", LineKind.CREDIT, "paid with prepaid credit", -1)

    def in_one(self, name: str, kind: LineKind, description: str, sign: int = 1) -> Iterator[DraftLine]:
        amount = _amount(getattr(self.row.totalBill, name), f"totalBill.{name}")
        if amount:
            yield DraftLine(description=description, amount=amount if sign > 0 else EXACT.minus(amount), kind=kind)

    def span(self, start: Int, end: Int, where: str) -> Period | None:
        """A part's own time, ``None`` where it is the invoice's or none."""
        first, last = _second(start or 0, where), _second(end or 0, where)
        if last <= first or (first, last) == (self.start, self.end):
            return None
        return Period(first * SECOND, last * SECOND)


def _status(row: StatedInvoice) -> InvoiceStatus:
    """Where an invoice stands. One whose price is not locked yet may still change, and can't come in. Raises ``Invalid``."""
    price_status, payment_status = (row.invoicePriceStatus or "").lower(), (row.paymentStatus or "").lower()
    if price_status in _NOT_FINAL:
        raise Invalid(
            f"its price is not final yet ({price_status}); bring it in once it is price_locked",
            code="import.not_final",
            where="invoicePriceStatus",
        )
    if payment_status in ("settled", "not_needed"):
        return InvoiceStatus.PAID
    return InvoiceStatus.PAST_DUE if payment_status == "failed" else InvoiceStatus.ISSUED


def _currencies(given: StatedCurrencies | None) -> tuple[str, Decimal, str]:
    """The plan's currency, the rate, the currency of payment; empty where they are not given."""
    if given is None:
        return "", Decimal(0), ""
    base, payment = given.basePlanCurrency or StatedCurrency(), given.paymentCurrency or StatedCurrency()
    rate = _amount(given.exchangeRate, "paymentCurrencyInfo.exchangeRate")
    return (base.currencyCode or "").upper(), rate, (payment.currencyCode or "").upper()


def _currency_code(given: tuple[str, Decimal, str], otherwise: str) -> str:
    """Bills are in the plan's currency."""
    base, _, payment = given
    return base or payment or otherwise


def _credit_unit(given: StatedCreditUnit | None) -> CreditUnit:
    if given is None:
        return CreditUnit()
    return CreditUnit(
        active=bool(given.active),
        description=_text(given.description, "creditUnit.description"),
        id=_text(given.id, "creditUnit.id"),
        lastUpdateTimeInMillis=_count(given.lastUpdateTimeInMillis, "creditUnit.lastUpdateTimeInMillis"),
        name=_text(given.name, "creditUnit.name"),
        ratioToCurrency=_amount(given.ratioToCurrency, "creditUnit.ratioToCurrency"),
        shortName=_text(given.shortName, "creditUnit.shortName"),
    )


def _interval(given: StatedInterval | None) -> BillingPeriod | None:
    if given is None or not given.interval:
        return None
    return BillingPeriod(
        interval=_text(given.interval, "planBillingPeriod.interval", 32).lower(),
        intervalsCount=_count(given.intervalsCount, "planBillingPeriod.intervalsCount"),
    )


def _date(key: StatedKey, first: dt.date) -> dt.date:
    if not (key.year and key.month and key.day):
        return first
    try:
        return dt.date(key.year, key.month, key.day)
    except (ValueError, OverflowError):
        raise Invalid("year, month and day are no date", code="import.period", where="invoiceKey.day") from None


def _second(value: int, where: str) -> int:
    if not 0 <= value <= _LAST_SECOND:
        raise Invalid(f"{value} is not a time in seconds", code="time.out_of_range", where=where)
    return value


def _count(value: Int, where: str) -> int:
    if value is not None and not 0 <= value < 2**53:
        raise Invalid(f"{value} is not a count", code="input.out_of_range", where=where)
    return value or 0


def _text(value: Text, where: str, limit: int = MAX_TEXT, *, empty: bool = True) -> str:
    text = (value or "").strip()
    if not text and not empty:
        raise Invalid("is empty", code="import.id", where=where)
    if len(text) > limit:
        raise Invalid(f"has more than {limit} characters", code="input.too_long", where=where)
    if not is_clean_text(text):
        raise Invalid("holds a control character", code="input.control_character", where=where)
    return text


def _map(value: TextMap, where: str) -> dict[str, str]:
    if isinstance(value, str) and value:
        raise Invalid("is a text, not a map", code="input.invalid", where=where)
    if not value:
        return {}
    assert isinstance(value, dict)
    if len(value) > 64:
        raise Invalid("has more than 64 dimensions", code="input.too_large", where=where)
    return {_text(name, where): _text(each, where) for name, each in value.items()}


def _amount(raw: Any, where: str) -> Decimal:
    """A number, exactly as it stands in the file; ``null`` is zero."""
    text = bytes(raw).decode("ascii", "replace")
    return Decimal(0) if text == "null" else parse_decimal(text, max_places=MAX_PLACES, where=where)


def _minor(amount: Decimal, currency: str, where: str) -> int:
    minor = to_minor(amount, currency)
    if abs(minor) > MAX_TOTAL_MINOR:
        raise Invalid("the amount is too large to be owed", code="invoice.too_large", where=where)
    return minor


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    whole = Decimal(0)
    for amount in amounts:
        whole = EXACT.add(whole, amount)
    return whole
