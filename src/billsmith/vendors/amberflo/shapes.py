"""Amberflo's wire types: field names, their order and their types are the vendor's own (its reference page and its clients)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billsmith.wire.json import RawDecimal, exact

#: The one product that Amberflo's clients know.
PRODUCT_ID = "1"
#: The currency in which Amberflo's ``…InBaseCurrency`` numbers are.
BASE_CURRENCY = "USD"
#: An amount or a quantity, exactly. Nothing is the whole number 0: most parts of a bill are, and it is quick to write.
Amount = Decimal | int
ZERO: Amount = 0


class AppliedCommitment(msgspec.Struct, frozen=True, kw_only=True):
    commitmentId: str
    feeAmount: Amount
    feeInBaseCurrency: Amount
    feeInCredits: Amount
    obligationId: str
    obligationName: str


class AppliedFee(msgspec.Struct, frozen=True, kw_only=True):
    feeAmount: Amount
    feeId: str
    feeInBaseCurrency: Amount
    feeInCredits: Amount
    feeName: str


class AppliedPromotion(msgspec.Struct, frozen=True, kw_only=True):
    """``entityTd`` is how the reference page spells it, ``entityId`` what it most likely means; both are sent."""

    canBeUsedForPayAsYouGo: bool = False
    dimensions: dict[str, str]
    discount: Amount
    discountInBaseCurrency: Amount
    discountInCredits: Amount
    entityTd: str
    entityId: str
    granularity: str
    maxDiscountInBaseCurrency: Amount
    maxDiscountPossible: Amount
    promotionAppliedTimeInSeconds: int
    promotionId: str
    promotionName: str
    promotionType: str


class CreditUnit(msgspec.Struct, frozen=True, kw_only=True):
    """``ratioToCurrency`` is what one credit is worth; 0 where no credit unit is used."""

    active: bool = False
    description: str = ""
    id: str = ""
    lastUpdateTimeInMillis: int = 0
    name: str = ""
    ratioToCurrency: Decimal = Decimal(0)
    shortName: str = ""


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    commitmentsFees: Amount
    discountableBasePrice: Amount
    discountableFixPrice: Amount
    endTimeInSeconds: int
    fixPrice: Amount
    invoiceBasedFees: Amount
    itemPrice: Amount
    prepaid: Amount
    prepayableCommitmentsFees: Amount
    prepayableFixPrice: Amount
    prepayableNotDiscountableFees: Amount
    startTimeInSeconds: int
    totalDiscount: Amount
    totalPrepayablePrice: Amount
    totalPrice: Amount
    totalPriceBeforeCommitments: Amount
    totalPriceBeforeDiscount: Amount
    totalPriceBeforePrepaid: Amount


class InvoiceKey(msgspec.Struct, frozen=True, kw_only=True):
    accountId: str
    customerId: str
    day: int
    month: int
    productId: str
    productPlanId: str
    year: int


class Currency(msgspec.Struct, frozen=True, kw_only=True):
    currencyCode: str = ""


class PaymentCurrencyInfo(msgspec.Struct, frozen=True, kw_only=True):
    basePlanCurrency: Currency
    exchangeRate: Decimal
    paymentCurrency: Currency


class BillingPeriod(msgspec.Struct, frozen=True, kw_only=True):
    interval: str
    intervalsCount: int


class ItemKey(msgspec.Struct, frozen=True, kw_only=True):
    accountId: str
    customerId: str
    day: int
    month: int
    productId: str
    productItemKey: str
    productPlanId: str
    year: int


class ItemBill(msgspec.Struct, frozen=True, kw_only=True):
    endTimeInSeconds: int
    meterUnits: Amount
    meteredUnitsPerTier: dict[str, Amount]
    price: Amount
    priceInBaseCurrency: Amount
    priceInCredits: Amount
    startTimeInSeconds: int


class ItemVariant(msgspec.Struct, frozen=True, kw_only=True):
    hourlyBillInfos: list[ItemBill]
    itemDimensions: dict[str, str]
    key: str
    lateArrivalMeters: Amount = ZERO
    totalBill: ItemBill


class ItemInvoice(msgspec.Struct, frozen=True, kw_only=True):
    key: ItemKey
    meterApiName: str
    productItemId: str
    productItemName: str
    productItemVariants: list[ItemVariant]
    productPlanName: str
    totalBill: ItemBill


class PlanFee(msgspec.Struct, frozen=True, kw_only=True):
    cost: Amount
    costInBaseCurrency: Amount
    costInCredits: Amount
    description: str
    discountable: bool
    id: str
    isOneTimeFee: bool
    isProrated: bool
    name: str
    prepayable: bool
    prorateToDay: bool


class CustomerProductInvoice(msgspec.Struct, frozen=True, kw_only=True):
    """One invoice, in the vendor's key order. ``uuid`` stands in paginated answers alone."""

    appliedCommitments: list[AppliedCommitment]
    appliedInvoiceBasedFees: list[AppliedFee]
    appliedPromotions: list[AppliedPromotion]
    availablePayAsYouGoMoney: Amount
    availablePayAsYouGoMoneyInBaseCurrency: Amount
    availablePayAsYouGoMoneyInCredits: Amount
    availablePrepaidLeft: Amount
    availablePrepaidLeftBaseCurrency: Amount
    availablePrepaidLeftInCredits: Amount
    creditUnit: CreditUnit
    externalSystemStatus: str
    gracePeriodInHours: int
    invoiceBillInBaseCurrency: Bill
    invoiceBillInCredits: Bill
    invoiceEndTimeInSeconds: int
    invoiceKey: InvoiceKey
    invoicePriceStatus: str
    invoiceStartTimeInSeconds: int
    invoiceUri: str
    uuid: str | msgspec.UnsetType = msgspec.UNSET
    paymentCreatedInSeconds: int
    paymentCurrencyInfo: PaymentCurrencyInfo
    paymentStatus: str
    planBillingPeriod: BillingPeriod
    planName: str
    productItemInvoices: list[ItemInvoice]
    productPlanFees: list[PlanFee]
    totalBill: Bill


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """``pageToken`` asks for the next page; it is empty on the last."""

    pageNumber: int
    pageSize: int
    pageToken: str
    totalPages: int
    totalResults: int


class Paginated(msgspec.Struct, frozen=True, kw_only=True):
    pageInfo: PageInfo
    data: list[CustomerProductInvoice]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    line1: str
    city: str
    state: str
    postalCode: str
    country: str


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """An account below the caller's. ``id`` is ``customerId`` again, as the vendor's clients expect; times in milliseconds."""

    customerId: str
    customerName: str
    customerEmail: str
    enabled: bool
    traits: dict[str, str]
    description: str = ""
    test: bool = False
    lifecycleStage: str
    address: Address
    id: str
    createTime: int
    updateTime: int


class Extras(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What our model lacks and is kept beside an invoice; every default is what an invoice from elsewhere has."""

    accountId: str = ""
    availablePayAsYouGoMoney: Decimal = Decimal(0)
    availablePayAsYouGoMoneyInBaseCurrency: Decimal = Decimal(0)
    availablePayAsYouGoMoneyInCredits: Decimal = Decimal(0)
    availablePrepaidLeft: Decimal = Decimal(0)
    availablePrepaidLeftBaseCurrency: Decimal = Decimal(0)
    availablePrepaidLeftInCredits: Decimal = Decimal(0)
    creditUnit: CreditUnit = CreditUnit()
    externalSystemStatus: str = ""
    gracePeriodInHours: int = 0
    paymentCreatedInSeconds: int = 0
    paymentCurrencyInfo: PaymentCurrencyInfo | None = None
    paymentNotNeeded: bool = False
    planBillingPeriod: BillingPeriod | None = None
    planName: str = ""


# An answer as a file holds it. Every field but the key and the total may be absent or null.

Text = str | None
Int = int | None
Flag = bool | None
#: The reference page prints a map as ``""``.
TextMap = dict[str, str] | str | None
NO_AMOUNT = msgspec.Raw(b"0")


class StatedKey(msgspec.Struct, frozen=True, kw_only=True):
    accountId: Text = None
    customerId: Text = None
    day: Int = None
    month: Int = None
    productId: Text = None
    productPlanId: Text = None
    year: Int = None


class StatedBill(msgspec.Struct, frozen=True, kw_only=True):
    commitmentsFees: RawDecimal = NO_AMOUNT
    fixPrice: RawDecimal = NO_AMOUNT
    invoiceBasedFees: RawDecimal = NO_AMOUNT
    itemPrice: RawDecimal = NO_AMOUNT
    prepaid: RawDecimal = NO_AMOUNT
    totalDiscount: RawDecimal = NO_AMOUNT
    totalPrice: RawDecimal


class StatedItemBill(msgspec.Struct, frozen=True, kw_only=True):
    endTimeInSeconds: Int = None
    meterUnits: RawDecimal = NO_AMOUNT
    price: RawDecimal = NO_AMOUNT
    startTimeInSeconds: Int = None


class StatedVariant(msgspec.Struct, frozen=True, kw_only=True):
    itemDimensions: TextMap = None
    totalBill: StatedItemBill = StatedItemBill()


class StatedItem(msgspec.Struct, frozen=True, kw_only=True):
    meterApiName: Text = None
    productItemId: Text = None
    productItemName: Text = None
    productItemVariants: list[StatedVariant] | None = None
    totalBill: StatedItemBill | None = None


class StatedFee(msgspec.Struct, frozen=True, kw_only=True):
    cost: RawDecimal = NO_AMOUNT
    description: Text = None
    discountable: Flag = None
    id: Text = None
    isOneTimeFee: Flag = None
    isProrated: Flag = None
    name: Text = None
    prepayable: Flag = None
    prorateToDay: Flag = None


class StatedPromotion(msgspec.Struct, frozen=True, kw_only=True):
    dimensions: TextMap = None
    discount: RawDecimal = NO_AMOUNT
    entityId: Text = None
    entityTd: Text = None
    promotionAppliedTimeInSeconds: Int = None
    promotionId: Text = None
    promotionName: Text = None
    promotionType: Text = None


class StatedCommitment(msgspec.Struct, frozen=True, kw_only=True):
    commitmentId: Text = None
    feeAmount: RawDecimal = NO_AMOUNT
    obligationId: Text = None
    obligationName: Text = None


class StatedInvoiceFee(msgspec.Struct, frozen=True, kw_only=True):
    feeAmount: RawDecimal = NO_AMOUNT
    feeId: Text = None
    feeName: Text = None


class StatedCreditUnit(msgspec.Struct, frozen=True, kw_only=True):
    active: Flag = None
    description: Text = None
    id: Text = None
    lastUpdateTimeInMillis: Int = None
    name: Text = None
    ratioToCurrency: RawDecimal = NO_AMOUNT
    shortName: Text = None


class StatedCurrency(msgspec.Struct, frozen=True, kw_only=True):
    currencyCode: Text = None


class StatedCurrencies(msgspec.Struct, frozen=True, kw_only=True):
    basePlanCurrency: StatedCurrency | None = None
    exchangeRate: RawDecimal = NO_AMOUNT
    paymentCurrency: StatedCurrency | None = None


class StatedInterval(msgspec.Struct, frozen=True, kw_only=True):
    interval: Text = None
    intervalsCount: Int = None


class StatedInvoice(msgspec.Struct, frozen=True, kw_only=True):
    appliedCommitments: list[StatedCommitment] | None = None
    appliedInvoiceBasedFees: list[StatedInvoiceFee] | None = None
    appliedPromotions: list[StatedPromotion] | None = None
    availablePayAsYouGoMoney: RawDecimal = NO_AMOUNT
    availablePayAsYouGoMoneyInBaseCurrency: RawDecimal = NO_AMOUNT
    availablePayAsYouGoMoneyInCredits: RawDecimal = NO_AMOUNT
    availablePrepaidLeft: RawDecimal = NO_AMOUNT
    availablePrepaidLeftBaseCurrency: RawDecimal = NO_AMOUNT
    availablePrepaidLeftInCredits: RawDecimal = NO_AMOUNT
    creditUnit: StatedCreditUnit | None = None
    externalSystemStatus: Text = None
    gracePeriodInHours: Int = None
    invoiceEndTimeInSeconds: Int = None
    invoiceKey: StatedKey
    invoicePriceStatus: Text = None
    invoiceStartTimeInSeconds: Int = None
    invoiceUri: Text = None
    paymentCreatedInSeconds: Int = None
    paymentCurrencyInfo: StatedCurrencies | None = None
    paymentStatus: Text = None
    planBillingPeriod: StatedInterval | None = None
    planName: Text = None
    productItemInvoices: list[StatedItem] | None = None
    productPlanFees: list[StatedFee] | None = None
    totalBill: StatedBill

    @property
    def total_price(self) -> Decimal:
        """The bill's total. Raises ``Invalid`` for one that is no decimal number."""
        return exact(self.totalBill.totalPrice, "totalBill.totalPrice")


class StatedPage(msgspec.Struct, frozen=True, kw_only=True):
    data: list[msgspec.Raw]
