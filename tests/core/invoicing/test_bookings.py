"""What each transaction says of itself, and its id: the same whenever the step is booked again, so that no step counts twice."""

from __future__ import annotations

from decimal import Decimal

import pytest

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
from billsmith.invoicing.model import Payment, Settlement, SettlementKind
from billsmith.invoicing.notes import document_of
from billsmith.invoicing.terms import Terms
from billsmith.invoicing.totals import TaxRate
from billsmith.ledger.wallets import Grant, Loss
from billsmith.units.errors import InvalidInvoice
from billsmith.units.ids import derived_id
from tests.core.invoicing.test_books import RATES, from_assembled, held, invoice, lines

D = Decimal
ISSUED = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=RATES)))
GRANT = Grant(id="g", amount=D(5))
WALLET = Settlement(kind=SettlementKind.WALLET, reference="g", amount_minor=1)
NOTE = Settlement(kind=SettlementKind.CREDIT_NOTE, reference="CN-1", amount_minor=1)
PAYMENT = Payment(id="p", amount_minor=5, paid_at=7, reference="bank-1")


@pytest.mark.parametrize(("book", "keys", "what"), [
    (lambda: book_document(ISSUED, 1), ("issued", "id-1"), "invoice 1"),
    (lambda: book_settlements(ISSUED, [WALLET], 1)[0], ("settled", "id-1", "wallet", "g"), "wallet g pays 1"),
    (lambda: book_settlements(ISSUED, [NOTE], 1)[0], ("settled", "id-1", "credit_note", "CN-1"), "credit_note CN-1 pays 1"),
    (lambda: book_payment(ISSUED, PAYMENT), ("payment", "id-1", "bank-1"), "payment bank-1 for 1"),
    (lambda: book_void(ISSUED, 3), ("void", "id-1"), "reversal of invoice 1"),
    (lambda: book_write_off(ISSUED, 4), ("written-off", "id-1"), "1 written off"),
    (lambda: book_grant(GRANT, 5, "EUR"), ("grant", "g", "1"), "grant g"),
    (lambda: book_grant(GRANT, 5, "EUR", times=2), ("grant", "g", "2"), "grant g"),
    (lambda: book_loss(GRANT, Loss(at=9, grant="g", amount=D(5)), "EUR"), ("loss", "g", "9"), "grant g ends unused"),
])  # fmt: skip
def test_a_transaction_says_what_it_is_and_keeps_its_id(book, keys, what):
    booked = book()
    assert booked.id == derived_id(*keys)
    assert booked.what == what


def test_two_taxes_of_one_name_go_to_one_account():
    rates = (TaxRate(category="std", name="VAT", rate=D(20)), TaxRate(category="std", name="VAT", rate=D(1)))
    issued = from_assembled("1", assemble(lines("100"), Terms(currency="EUR", taxes=rates)))
    assert held(book_document(issued, 0)) == {"receivable:customer": 12100, "revenue": -10000, "tax:std:VAT": -2100}


@pytest.mark.parametrize(("use", "words"), [
    (lambda bare: book_document(bare, 0), "an invoice is booked from its content; read it first [invoice.no_content]"),
    (document_of, "a document is corrected by its content; read it first [invoice.no_content]"),
])  # fmt: skip
def test_a_list_row_alone_is_refused_in_words(use, words):
    with pytest.raises(InvalidInvoice) as caught:
        use(invoice("1", None, 0))
    assert str(caught.value) == words


def test_a_document_to_correct_keeps_its_number():
    assert document_of(ISSUED).number == "1"
    assert document_of(ISSUED).lines == ISSUED.content.lines
