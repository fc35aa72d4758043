"""Every step of an invoice's life has postings; no sequence of steps makes a balance, wallet or total disagree with them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from billsmith.catalog.reductions import Coupon
from billsmith.invoicing.assembly import assemble
from billsmith.invoicing.bookings import (
    book_document,
    book_grant,
    book_loss,
    book_payment,
    book_settlements,
    book_void,
    book_write_off,
)
from billsmith.invoicing.model import (
    Content,
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    LineKind,
    Party,
    Payment,
    Settlement,
    SettlementKind,
)
from billsmith.invoicing.notes import Note, credit_whole, document_of, note_by_line
from billsmith.invoicing.terms import AppliedCoupon, Credit, Terms, Wallet
from billsmith.invoicing.totals import DraftLine, TaxRate
from billsmith.ledger import chart
from billsmith.ledger.postings import balances
from billsmith.ledger.wallets import Grant, Use, replay
from billsmith.units.currency import to_minor
from billsmith.units.errors import Invalid, InvalidInvoice
from billsmith.units.periods import Period
from tests.support.laws import EXAMPLES
from tests.support.numbers import decimals, fractions

D = Decimal
CUSTOMER = "customer"
RATES = (TaxRate(category="std", name="VAT", rate=D(21)), TaxRate(category="incl", name="VAT", rate=D(9), included=True))


def invoice(number, content, total_minor, *, kind=InvoiceKind.INVOICE, tax_minor=0, paid_minor=0):
    return Invoice(
        id=f"id-{number}",
        issuer_id="issuer",
        recipient_id=CUSTOMER,
        kind=kind,
        number=number,
        status=InvoiceStatus.ISSUED,
        currency="EUR",
        total_minor=total_minor,
        tax_minor=tax_minor,
        paid_minor=paid_minor,
        customer_name="Customer",
        date=dt.date(2026, 10, 31),
        period=Period(0, 1),
        created_at=0,
        content=content,
    )


def from_assembled(number, assembled):
    content = assembled.content(Party(name="Issuer"), Party(name="Customer"))
    totals = assembled.totals
    return invoice(number, content, totals.total_minor, tax_minor=totals.tax_minor, paid_minor=assembled.settled_minor)


def from_note(number, note: Note):
    content = Content(issuer=Party(name="Issuer"), recipient=Party(name="Customer"), lines=note.lines, taxes=note.taxes)
    return invoice(number, content, note.total_minor, kind=note.kind, tax_minor=note.tax_minor)


def lines(amount, category="std"):
    return [DraftLine(description="x", amount=D(amount), tax_category=category, kind=LineKind.USAGE)]


def held(*transactions):
    return {account: amount for (account, _), amount in balances(transactions).items()}


def test_an_invoice_with_a_discount_and_two_taxes():
    terms = Terms(currency="EUR", taxes=RATES, coupons=(AppliedCoupon(coupon=Coupon(code="C", percent=D(10))),))
    issued = from_assembled("1", assemble([*lines("100"), *lines("109", "incl")], terms))
    assert held(book_document(issued, 0)) == {
        "receivable:customer": 20700,
        "revenue": -20090,
        "discounts": 2090,
        "tax:std:VAT": -1890,
        "tax:incl:VAT": -810,
    }


def test_a_payment_a_refund_and_a_write_off():
    issued = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=RATES)))
    paid = Payment(id="p", amount_minor=12000, paid_at=1, reference="bank-1")
    back = Payment(id="q", amount_minor=-500, paid_at=2, reference="bank-2")
    after = msgspec.structs.replace(issued, paid_minor=11500)
    books = held(book_document(issued, 0), book_payment(issued, paid), book_payment(issued, back), book_write_off(after, 3))
    assert books == {"revenue": -10000, "tax:std:VAT": -2100, "cash": 11500, "written-off": 600}


def test_every_transaction_names_its_document_and_has_an_id_of_its_own():
    issued = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=RATES)))
    grant = Grant(id="g", amount=D(5), expires_at=9)
    paid = [Payment(id="p", amount_minor=5, paid_at=7, reference=name) for name in ("bank-1", "bank-2")]
    settlements = [
        Settlement(kind=kind, reference=name, amount_minor=1)
        for kind, name in ((SettlementKind.WALLET, "g"), (SettlementKind.CREDIT_NOTE, "g"), (SettlementKind.WALLET, "h"))
    ]
    of_invoice = [
        book_document(issued, 1),
        *book_settlements(issued, settlements, 2),
        *(book_payment(issued, each) for each in paid),
        book_void(issued, 3),
        book_write_off(issued, 4),
    ]
    of_grant = [
        book_grant(grant, 5, "EUR"),
        book_grant(grant, 6, "EUR", times=2),
        *(book_loss(grant, loss, "EUR") for loss in replay([grant], [], until=9).losses),
    ]
    assert {each.reference for each in of_invoice} == {issued.id}
    assert {each.reference for each in of_grant} == {"g"}
    assert [each.at for each in of_invoice] == [1, 2, 2, 2, 7, 7, 3, 4]
    assert [each.at for each in of_grant] == [5, 6, 9]
    assert len({each.id for each in [*of_invoice, *of_grant]}) == 11
    assert of_invoice[0].what == "invoice 1"


def test_a_void_leaves_nothing():
    issued = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=RATES)))
    assert held(book_document(issued, 0), book_void(issued, 1)) == {}


def test_a_credit_note_pays_the_next_invoice_and_a_wallet_the_rest():
    first = from_assembled("1", assemble(lines("100"), Terms(currency="EUR")))
    note = from_note("CN-1", credit_whole(document_of(first)))
    grant = Grant(id="g", amount=D(30))
    terms = Terms(
        currency="EUR",
        credits=(Credit(reference="CN-1", amount_minor=10000),),
        wallet=Wallet(grants=(grant,), balances={"g": D(30)}),
    )
    assembled = assemble(lines("125"), terms)
    second = from_assembled("2", assembled)
    books = held(
        book_document(first, 0),
        book_document(note, 1),
        book_grant(grant, 1, "EUR"),
        book_document(second, 2),
        *book_settlements(second, assembled.settlements, 2),
    )
    assert books == {"receivable:customer": 10000, "wallet:g": -500, "cash": 3000, "revenue": -12500}
    assert second.due_minor == 0


@pytest.mark.parametrize(("paid", "account"), [(True, chart.BREAKAGE), (False, chart.PROMOTIONS)])
def test_credit_that_expires(paid, account):
    grant = Grant(id="g", amount=D(30), expires_at=9, paid=paid)
    (loss,) = replay([grant], [], until=9).losses
    books = held(book_grant(grant, 0, "EUR"), book_loss(grant, loss, "EUR"))
    assert books == ({chart.CASH: 3000, account: -3000} if paid else {})


def test_what_does_not_sum_to_its_total_can_not_be_booked():
    issued = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=RATES)))
    with pytest.raises(Invalid) as caught:
        book_document(msgspec.structs.replace(issued, total_minor=12101), 0)
    assert caught.value.code == "ledger.unbalanced"


@pytest.mark.parametrize("use", [lambda bare: book_document(bare, 0), document_of])
def test_a_list_row_alone_can_not_be_booked_or_corrected(use):
    with pytest.raises(InvalidInvoice) as caught:
        use(invoice("1", None, 0))
    assert caught.value.code == "invoice.no_content"


class Books(RuleBasedStateMachine):
    """A customer's life: invoices, notes, payments, credit bought, given and lost, in any order."""

    def __init__(self):
        super().__init__()
        self.now = 0
        self.transactions = []
        self.invoices = {}
        self.notes = {}  # by the number of the invoice
        self.credit = {}  # what is left of each credit note
        self.paid = {}
        self.grants = []
        self.uses = []
        self.closed = set()

    def tick(self):
        self.now += 1
        return self.now

    def wallet(self):
        return replay(self.grants, self.uses, until=self.now)

    @rule(
        amounts=st.lists(st.tuples(decimals(-20, 300, places=3), st.sampled_from(["std", "incl", "none"])), max_size=4),
        percent=st.none() | decimals("0.5", 100, places=1),
    )
    def issue(self, amounts, percent):
        now = self.tick()
        terms = Terms(
            currency="EUR",
            taxes=RATES,
            coupons=(AppliedCoupon(coupon=Coupon(code="C", percent=percent)),) if percent else (),
            credits=tuple(Credit(reference=number, amount_minor=left) for number, left in self.credit.items() if left),
            wallet=Wallet(grants=tuple(self.grants), balances=self.wallet().balances),
            at=now,
        )
        assembled = assemble([each for amount, category in amounts for each in lines(amount, category)], terms)
        number = f"INV-{now}"
        issued = from_assembled(number, assembled)
        self.transactions += [book_document(issued, now), *book_settlements(issued, assembled.settlements, now)]
        self.invoices[number] = issued
        self.notes[number] = []
        self.paid[number] = assembled.settled_minor
        for settlement in assembled.settlements:
            if settlement.reference in self.credit:
                self.credit[settlement.reference] -= settlement.amount_minor
            else:
                self.uses.append(Use(at=now, amount=D(settlement.amount_minor).scaleb(-2), reference=number))

    def open(self):
        return [number for number in self.invoices if number not in self.closed]

    @precondition(lambda self: self.open())
    @rule(data=st.data(), amount=st.integers(-5000, 40000))
    def pay(self, data, amount):
        issued = self.invoices[data.draw(st.sampled_from(self.open()))]
        payment = Payment(id="p", amount_minor=amount, paid_at=self.tick(), reference=f"bank-{self.now}")
        self.transactions.append(book_payment(issued, payment))
        self.paid[issued.number] += amount

    @precondition(lambda self: self.open())
    @rule(data=st.data(), part=st.none() | fractions(0, 1, max_denominator=7))
    def note(self, data, part):
        issued = self.invoices[data.draw(st.sampled_from(self.open()))]
        document, earlier = document_of(issued), self.notes[issued.number]
        positive = [index for index, each in enumerate(document.lines) if each.amount_minor > 0]
        try:
            if part is None or not positive:
                note = credit_whole(document, earlier)
            else:
                index = data.draw(st.sampled_from(positive))
                exact = part * document.lines[index].amount_minor / 100
                note = note_by_line(document, {index: -exact}, "EUR", earlier)
        except InvalidInvoice as refused:
            assert refused.code == "note.too_much"  # noqa: PT017 (most notes aren't refused)
            return
        number = f"CN-{self.tick()}"
        self.transactions.append(book_document(from_note(number, note), self.now))
        earlier.append(note.document(number))
        if note.kind is InvoiceKind.CREDIT_NOTE:
            self.credit[number] = -note.total_minor
        else:
            self.invoices[number] = from_note(number, note)
            self.notes[number], self.paid[number] = [], 0

    @precondition(lambda self: self.open())
    @rule(data=st.data())
    def write_off(self, data):
        number = data.draw(st.sampled_from(self.open()))
        current = msgspec.structs.replace(self.invoices[number], paid_minor=self.paid[number])
        self.transactions.append(book_write_off(current, self.tick()))
        self.paid[number] += current.due_minor
        self.closed.add(number)

    @rule(amount=st.integers(0, 30000), lasts=st.none() | st.integers(1, 6), paid=st.booleans(), priority=st.integers(0, 2))
    def grant(self, amount, lasts, paid, priority):
        now = self.tick()
        grant = Grant(
            id=f"G-{now}",
            amount=D(amount).scaleb(-2),
            effective_at=now,
            expires_at=None if lasts is None else now + lasts,
            paid=paid,
            priority=priority,
        )
        self.grants.append(grant)
        self.transactions.append(book_grant(grant, now, "EUR"))

    def books(self):
        grants = {grant.id: grant for grant in self.grants}
        losses = [book_loss(grants[loss.grant], loss, "EUR") for loss in self.wallet().losses]
        return balances([*self.transactions, *losses])

    @invariant()
    def all_agree(self):
        books = self.books()
        assert sum(books.values()) == 0
        due = sum(issued.total_minor - self.paid[number] for number, issued in self.invoices.items())
        assert books.get((chart.receivable(CUSTOMER), "EUR"), 0) == due
        for grant, balance in self.wallet().balances.items():
            assert -books.get((chart.wallet(grant), "EUR"), 0) == to_minor(balance, "EUR")
        assert -books.get((chart.credit_balance(CUSTOMER), "EUR"), 0) == sum(self.credit.values())
        documents = [document_of(issued) for number, issued in self.invoices.items() if number.startswith("INV")]
        documents += [note for notes in self.notes.values() for note in notes]
        for category, name in (("std", "VAT"), ("incl", "VAT")):
            stated = sum(tax.amount_minor for each in documents for tax in each.taxes if tax.category == category)
            assert -books.get((chart.tax(category, name), "EUR"), 0) == stated


Books.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=8, deadline=None)
TestBooks = Books.TestCase


def test_the_machine_sees_a_settlement_that_was_not_booked():
    """The negative control: a wallet that paid without postings disagrees with the ledger."""
    machine = Books()
    machine.grant(5000, None, True, 0)
    machine.issue([(D(20), "none")], None)
    machine.all_agree()
    machine.transactions = [each for each in machine.transactions if "pays" not in each.what]
    with pytest.raises(AssertionError):
        machine.all_agree()
