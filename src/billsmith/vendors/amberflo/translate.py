"""An invoice in Amberflo's words. The way back is ``read.py``.

Usage lines become ``productItemInvoices`` (an item a meter, a variant a line), fees ``productPlanFees``, discounts and coupons
``appliedPromotions``, true-ups ``appliedCommitments``, credit lines ``prepaid``; taxes, adjustments and whatever a stated total
says beyond its lines are ``appliedInvoiceBasedFees``. So the parts of every bill make its ``totalPrice``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from billsmith.accounts.model import Account, AccountStatus
from billsmith.invoicing.model import Invoice, InvoiceStatus, Line, LineKind
from billsmith.units.currency import from_minor
from billsmith.units.instants import SECOND, local_date
from billsmith.units.rounding import divide_round
from billsmith.vendors.amberflo import extras
from billsmith.vendors.amberflo.bills import Parts, bill, empty_bill, minus, plus, shown, total
from billsmith.vendors.amberflo.shapes import (
    BASE_CURRENCY,
    PRODUCT_ID,
    ZERO,
    Address,
    Amount,
    AppliedCommitment,
    AppliedFee,
    AppliedPromotion,
    BillingPeriod,
    Currency,
    Customer,
    CustomerProductInvoice,
    Extras,
    InvoiceKey,
    ItemBill,
    ItemInvoice,
    ItemKey,
    ItemVariant,
    PaymentCurrencyInfo,
    PlanFee,
)

#: Which of an invoice's lists a line stands in: usage, fees, promotions, commitments, prepaid, fees on the whole, or none.
_LISTS = {
    LineKind.USAGE: 0,
    LineKind.FEE: 1,
    LineKind.STATED: 1,
    LineKind.MINIMUM: 1,
    LineKind.DISCOUNT: 2,
    LineKind.COUPON: 2,
    LineKind.TRUE_UP: 3,
    LineKind.CREDIT: 4,
    LineKind.ADJUSTMENT: 5,
}
_NONE = 6
_CREDIT_PLACES = 12
_ONE = Decimal(1)
#: What an address holds as it is; most ids are of that.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII)

_PRICE_STATUSES = {InvoiceStatus.DRAFT: "open", InvoiceStatus.GRACE: "grace_period"}
_PAYMENT_STATUSES = {
    InvoiceStatus.DRAFT: "pre_payment",
    InvoiceStatus.GRACE: "pre_payment",
    InvoiceStatus.ISSUED: "pending",
    InvoiceStatus.PARTIALLY_PAID: "pending",
    InvoiceStatus.PAID: "settled",
    InvoiceStatus.PAST_DUE: "failed",
    InvoiceStatus.VOID: "not_needed",
    InvoiceStatus.WRITTEN_OFF: "failed",
}


class VendorKey(NamedTuple):
    """What makes an Amberflo invoice the one it is, within its account: customer, product, plan and first day."""

    customer: str
    product: str
    plan: str
    date: dt.date

    def text(self) -> str:
        """As it is kept: one text, whose parts are told apart by a slash that none of them holds.

        >>> VendorKey("a/b", "1", "plan", dt.date(2022, 2, 6)).text()
        'a%2Fb/1/plan/2022-02-06'
        """
        return f"{_part(self.customer)}/{self.ending}"

    @property
    def ending(self) -> str:
        """All but the customer, who may be named in two ways."""
        return f"{_part(self.product)}/{_part(self.plan)}/{self.date.isoformat()}"


def parse_key(text: str) -> VendorKey:
    """The inverse of :meth:`VendorKey.text`."""
    customer, product, plan, date = text.split("/")
    return VendorKey(_unpart(customer), _unpart(product), _unpart(plan), dt.date.fromisoformat(date))


def _part(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")


def _unpart(text: str) -> str:
    return text.replace("%2F", "/").replace("%25", "%")


def key_of(invoice: Invoice, customer: Account, vendor_key: str | None) -> InvoiceKey:
    """An invoice's key. One that did not come from Amberflo is the only one of its plan: the plan goes by its id."""
    if vendor_key is None:
        plan, date = invoice.id, local_date(invoice.period.start, "UTC")
    else:
        parsed = parse_key(vendor_key)
        plan, date = parsed.plan, parsed.date
    return InvoiceKey(
        accountId=extras.of(invoice).accountId or invoice.issuer_id,
        customerId=customer.external_id,
        day=date.day,
        month=date.month,
        productId=PRODUCT_ID,
        productPlanId=plan,
        year=date.year,
    )


def uri(key: InvoiceKey) -> str:
    """The invoice's address, which callers use as its identity. Values are percent-encoded where they would break it."""
    return (
        f"payments/invoices/account_id={_quoted(key.accountId)}/customer_id={_quoted(key.customerId)}"
        f"/product_id={key.productId}/product_plan_id={_quoted(key.productPlanId)}"
        f"/year={key.year:04d}/month={key.month:02d}/day={key.day:02d}"
    )


@lru_cache(maxsize=4096)
def _quoted(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else quote(text, safe="")


def spell(
    invoice: Invoice, customer: Account, vendor_key: str | None, *, with_status: bool = True, with_uuid: bool = False
) -> CustomerProductInvoice:
    """An invoice with its lines, as Amberflo writes it; ``vendor_key`` is its key there, where it came from there.

    ``customer`` is the account that it was issued to.
    """
    return _Speller(invoice, customer, vendor_key).invoice_row(with_status=with_status, with_uuid=with_uuid)


def customer_row(account: Account, name: str, *, with_profile: bool) -> Customer:
    """An account as a customer that goes by ``name``; address and e-mail stay empty for whom may not read accounts."""
    profile = account.profile
    return Customer(
        customerId=name,
        customerName=account.name,
        customerEmail=profile.email if with_profile else "",
        enabled=account.status is AccountStatus.OPEN,
        traits={"accountId": account.id, "parentId": account.parent_id or "", "currency": account.currency},
        lifecycleStage="offboarded" if account.status is AccountStatus.CLOSED else "active",
        address=Address(
            line1=profile.line1 if with_profile else "",
            city=profile.city if with_profile else "",
            state=profile.region if with_profile else "",
            postalCode=profile.postal_code if with_profile else "",
            country=profile.country if with_profile else "",
        ),
        id=name,
        createTime=account.created_at // 1_000_000,
        updateTime=account.updated_at // 1_000_000,
    )


class _Priced(NamedTuple):
    line: Line
    price: Amount


class _Speller:
    """One invoice, and what all of its parts need to know of it."""

    def __init__(self, invoice: Invoice, customer: Account, vendor_key: str | None) -> None:
        self.invoice = invoice
        self.customer = customer
        self.from_amberflo = vendor_key is not None
        self.key = key_of(invoice, customer, vendor_key)
        self.kept: Extras = extras.of(invoice)
        self.start, self.end = _seconds(invoice.period.start), _seconds(invoice.period.end)
        lists: tuple[list[_Priced], ...] = ([], [], [], [], [], [], [])
        for line in invoice.content.lines if invoice.content else ():
            lists[_LISTS.get(line.kind, _NONE)].append(_Priced(line, self.price(line)))
        self.usage, self.fees, self.promotions, self.commitments, self.prepaid, self.adjustments, _ = lists
        self.plan_name = self.kept.planName or _plans(self.usage + self.fees) or invoice.number
        total = invoice.stated_total
        self.total = shown(total if total is not None else self.amount(invoice.total_minor))

    def invoice_row(self, *, with_status: bool, with_uuid: bool) -> CustomerProductInvoice:
        kept, parts = self.kept, self.parts()
        plain, nothing = bill(parts, self.start, self.end), empty_bill(self.start, self.end)
        has_credits = bool(kept.creditUnit.ratioToCurrency)
        return CustomerProductInvoice(
            appliedCommitments=[self.commitment(each) for each in self.commitments],
            appliedInvoiceBasedFees=self.invoice_fees(parts.invoice_fees),
            appliedPromotions=[self.promotion(each) for each in self.promotions],
            availablePayAsYouGoMoney=kept.availablePayAsYouGoMoney,
            availablePayAsYouGoMoneyInBaseCurrency=kept.availablePayAsYouGoMoneyInBaseCurrency,
            availablePayAsYouGoMoneyInCredits=kept.availablePayAsYouGoMoneyInCredits,
            availablePrepaidLeft=kept.availablePrepaidLeft,
            availablePrepaidLeftBaseCurrency=kept.availablePrepaidLeftBaseCurrency,
            availablePrepaidLeftInCredits=kept.availablePrepaidLeftInCredits,
            creditUnit=kept.creditUnit,
            externalSystemStatus=kept.externalSystemStatus,
            gracePeriodInHours=kept.gracePeriodInHours,
            invoiceBillInBaseCurrency=plain if self.invoice.currency == BASE_CURRENCY else nothing,
            invoiceBillInCredits=bill(parts.converted(self.credits), self.start, self.end) if has_credits else nothing,
            invoiceEndTimeInSeconds=self.end,
            invoiceKey=self.key,
            invoicePriceStatus=_PRICE_STATUSES.get(self.invoice.status, "price_locked"),
            invoiceStartTimeInSeconds=self.start,
            invoiceUri=uri(self.key),
            uuid=self.invoice.id if with_uuid else msgspec.UNSET,
            paymentCreatedInSeconds=kept.paymentCreatedInSeconds
            if self.invoice.paid_at is None or kept.paymentNotNeeded
            else _seconds(self.invoice.paid_at),
            paymentCurrencyInfo=kept.paymentCurrencyInfo or _paid_in(self.invoice.currency),
            paymentStatus=self.payment_status() if with_status else "unknown",
            planBillingPeriod=kept.planBillingPeriod or billing_period(self.invoice, self.customer.time_zone),
            planName=self.plan_name,
            productItemInvoices=self.items(),
            productPlanFees=[self.fee(each) for each in self.fees],
            totalBill=plain,
        )

    def payment_status(self) -> str:
        """A paid invoice over nothing needed no payment, nor did one of which Amberflo says so."""
        if self.invoice.status is InvoiceStatus.PAID and (self.kept.paymentNotNeeded or not self.invoice.total_minor):
            return "not_needed"
        return _PAYMENT_STATUSES[self.invoice.status]

    def amount(self, minor: int) -> Amount:
        return from_minor(minor, self.invoice.currency)

    def price(self, line: Line) -> Amount:
        """A line's amount: as it was stated where another system issued the invoice, else as it is owed."""
        if self.invoice.stated_total is not None and line.exact_amount is not None:
            return shown(line.exact_amount)
        return shown(self.amount(line.amount_minor))

    def base(self, amount: Amount) -> Amount:
        """In US dollars; 0 where the invoice is in another currency, for we make up no rate."""
        return amount if self.invoice.currency == BASE_CURRENCY else ZERO

    def credits(self, amount: Amount) -> Amount:
        """In credit units; 0 where none is used."""
        ratio = self.kept.creditUnit.ratioToCurrency
        return shown(divide_round(Decimal(amount), ratio, _CREDIT_PLACES)) if ratio else ZERO

    def flag(self, line: Line, name: str) -> bool:
        """A yes or no of a fee; one of ours is a one-time fee unless a subscription brought it."""
        if self.from_amberflo:
            return line.dimensions.get(name) == "true"
        return name == "isOneTimeFee" and not line.subscription

    def parts(self) -> Parts:
        """What the total is made of; what the other parts leave open are fees on the invoice as a whole."""
        usage, fees, commitments = _sum(self.usage), _sum(self.fees), _sum(self.commitments)
        discounts, prepaid = minus(_sum(self.promotions)), minus(_sum(self.prepaid))
        discountable = prepayable = prepayable_only = ZERO
        for line, price in self.fees:
            takes_discount = self.flag(line, "discountable")
            if takes_discount:
                discountable = plus(discountable, price)
            if self.flag(line, "prepayable"):
                prepayable = plus(prepayable, price)
                if not takes_discount:
                    prepayable_only = plus(prepayable_only, price)
        return Parts(
            usage=usage,
            fees=fees,
            discounts=discounts,
            invoice_fees=total((self.total, minus(usage), minus(fees), discounts, minus(commitments), prepaid)),
            commitments=commitments,
            prepaid=prepaid,
            discountable=discountable,
            prepayable=prepayable,
            prepayable_only=prepayable_only,
        )

    def invoice_fees(self, whole: Amount) -> list[AppliedFee]:
        taxes = self.invoice.content.taxes if self.invoice.content else ()
        named = [(line.component or line.kind.value, line.description, price) for line, price in self.adjustments]
        named += [
            (f"tax:{tax.category}:{tax.name}", tax.name, shown(self.amount(tax.amount_minor)))
            for tax in taxes
            if not tax.included
        ]
        rest = plus(whole, minus(total(amount for _, _, amount in named)))
        if rest:
            named.append(("unexplained", "what the total says beyond its parts", rest))
        return [
            AppliedFee(
                feeAmount=amount,
                feeId=id,
                feeInBaseCurrency=self.base(amount),
                feeInCredits=self.credits(amount),
                feeName=name,
            )
            for id, name, amount in named
        ]

    def commitment(self, priced: _Priced) -> AppliedCommitment:
        line, amount = priced
        return AppliedCommitment(
            commitmentId=line.component,
            feeAmount=amount,
            feeInBaseCurrency=self.base(amount),
            feeInCredits=self.credits(amount),
            obligationId=line.plan,
            obligationName=line.description,
        )

    def promotion(self, priced: _Priced) -> AppliedPromotion:
        line, amount = priced.line, minus(priced.price)
        return AppliedPromotion(
            dimensions=line.dimensions,
            discount=amount,
            discountInBaseCurrency=self.base(amount),
            discountInCredits=self.credits(amount),
            entityTd=line.plan,
            entityId=line.plan,
            granularity="item" if line.meter else "product",
            maxDiscountInBaseCurrency=self.base(amount),
            maxDiscountPossible=amount,
            promotionAppliedTimeInSeconds=_seconds(line.period.start) if line.period else self.start,
            promotionId=line.component,
            promotionName=line.description,
            promotionType=line.kind.value,
        )

    def fee(self, priced: _Priced) -> PlanFee:
        line, amount = priced
        return PlanFee(
            cost=amount,
            costInBaseCurrency=self.base(amount),
            costInCredits=self.credits(amount),
            description=" ".join(line.trace),
            discountable=self.flag(line, "discountable"),
            id=line.component or line.kind.value,
            isOneTimeFee=self.flag(line, "isOneTimeFee"),
            isProrated=self.flag(line, "isProrated"),
            name=line.description,
            prepayable=self.flag(line, "prepayable"),
            prorateToDay=self.flag(line, "prorateToDay"),
        )

    def items(self) -> list[ItemInvoice]:
        """Usage, an item for each meter and component, in the order of the lines."""
        groups: dict[tuple[str, str], list[_Priced]] = {}
        for priced in self.usage:
            line = priced.line
            groups.setdefault((line.meter, line.component or line.meter or line.description), []).append(priced)
        return [self.item(meter, id, lines) for (meter, id), lines in groups.items()]

    def item(self, meter: str, id: str, lines: Sequence[_Priced]) -> ItemInvoice:
        key = msgspec.structs.asdict(self.key)
        return ItemInvoice(
            key=ItemKey(productItemKey=id, **key),
            meterApiName=meter,
            productItemId=id,
            productItemName=lines[0].line.description,
            productItemVariants=[self.variant(each) for each in lines],
            productPlanName=self.plan_name,
            totalBill=self.item_bill(lines, self.start, self.end),
        )

    def variant(self, priced: _Priced) -> ItemVariant:
        line = priced.line
        start, end = (
            (_seconds(line.period.start), _seconds(line.period.end)) if line.period is not None else (self.start, self.end)
        )
        return ItemVariant(
            hourlyBillInfos=[],
            itemDimensions=line.dimensions,
            key=",".join(f"{name}={value}" for name, value in sorted(line.dimensions.items())),
            totalBill=self.item_bill([priced], start, end),
        )

    def item_bill(self, lines: Sequence[_Priced], start: int, end: int) -> ItemBill:
        price = _sum(lines)
        return ItemBill(
            endTimeInSeconds=end,
            meterUnits=total(shown(each.line.quantity or ZERO) for each in lines),
            meteredUnitsPerTier={},
            price=price,
            priceInBaseCurrency=self.base(price),
            priceInCredits=self.credits(price),
            startTimeInSeconds=start,
        )


@lru_cache(maxsize=256)
def _paid_in(currency: str) -> PaymentCurrencyInfo:
    code = Currency(currencyCode=currency)
    return PaymentCurrencyInfo(basePlanCurrency=code, exchangeRate=_ONE, paymentCurrency=code)


def _sum(lines: Sequence[_Priced]) -> Amount:
    return total(each.price for each in lines) if lines else ZERO


@lru_cache(maxsize=4096)
def _between(start: int, end: int, time_zone: str) -> BillingPeriod:
    first, last = local_date(start, time_zone), local_date(end, time_zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    if months > 0 and first.day == last.day:
        return BillingPeriod(interval="month", intervalsCount=months) if months % 12 else _years(months)
    return BillingPeriod(interval="day", intervalsCount=max((last - first).days, 1))


def billing_period(invoice: Invoice, time_zone: str) -> BillingPeriod:
    """The length of an invoice's period in its customer's calendar: whole years or months if it is that, else days."""
    return _between(invoice.period.start, invoice.period.end, time_zone)


def _years(months: int) -> BillingPeriod:
    return BillingPeriod(interval="year", intervalsCount=months // 12)


def _plans(lines: Sequence[_Priced]) -> str:
    return ", ".join(dict.fromkeys(each.line.plan for each in lines if each.line.plan))


def _seconds(instant: int) -> int:
    return instant // SECOND
