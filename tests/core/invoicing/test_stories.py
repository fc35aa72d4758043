"""Whole months in the domain's notation: catalog, subscription, usage, expected invoices (tests/cases/stories/)."""

from pathlib import Path

import pytest

from tests.support.stories import run

STORIES = sorted((Path(__file__).parents[2] / "cases" / "stories").glob("*.txt"))


@pytest.mark.parametrize("path", STORIES, ids=[path.stem for path in STORIES])
def test_story(path):
    outcomes = run(path.read_text("utf-8"))
    assert outcomes
    for outcome in outcomes:
        assert "\n".join(outcome.got) == "\n".join(outcome.expected), outcome.title


def test_a_story_that_expects_a_cent_more_fails():
    """The negative control."""
    text = STORIES[0].read_text("utf-8")
    changed = text.replace("total | 1", "total | 2", 1)
    assert changed != text
    assert any(outcome.got != outcome.expected for outcome in run(changed))
