"""The tables of tests/cases/rating: amount and every word of the trace."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billsmith.rating import Context, rate
from billsmith.rating.steps import MODELS, PARTS
from billsmith.units.errors import BillsmithError
from tests.support.cases import Case, rating_cases

TABLE = list(rating_cases())


@pytest.mark.parametrize("case", TABLE, ids=[case.place for case in TABLE])
def test_case(case: Case) -> None:
    context = Context(currency="EUR", previous=case.previous)
    if case.expected.startswith("!"):
        with pytest.raises(BillsmithError) as error:
            rate(case.price, case.usage, context)
        assert error.value.code == case.expected[1:]
        return
    charge = rate(case.price, case.usage, context)
    assert charge.rounded == Decimal(case.expected)
    assert " / ".join(charge.sentences) == case.trace


def test_every_model_has_a_table() -> None:
    priced = {type(price) for case in TABLE for price in case.price.walk()}
    assert priced == {*MODELS, *PARTS}
