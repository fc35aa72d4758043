"""Each example catalog is billed in a story, and uses what it is there to show."""

from __future__ import annotations

import re

from billsmith.catalog import parse
from billsmith.rating.steps import MODELS, PARTS
from tests.support.cases import CASES
from tests.support.stories import EXAMPLES


def test_every_example_is_billed_in_a_story() -> None:
    stories = [path.read_text("utf-8") for path in (CASES / "stories").glob("*.txt")]
    billed = {name for story in stories for name in re.findall(r"^catalog (\S+)$", story, re.MULTILINE)}
    assert billed == {path.stem for path in EXAMPLES.glob("*.yaml")}


def test_the_examples_together_use_nearly_every_model() -> None:
    catalogs = [parse(path.read_text("utf-8"), path.name) for path in EXAMPLES.glob("*.yaml")]
    used = {
        type(part)
        for catalog in catalogs
        for plan in catalog.plans
        for price in [*(fee.price for fee in plan.fees), *(catalog.price_of(charge, plan) for charge in plan.charges)]
        for part in price.walk()
    }
    assert {kind.__name__ for kind in (*MODELS, *PARTS) if kind not in used} == {
        "BlockVolume",
        # What was bought is priced by the rules of a re-bill (docs/pulling.md).
        "Markup",
        "Margin",
    }
