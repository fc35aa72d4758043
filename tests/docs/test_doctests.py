"""The examples in docstrings run."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import billsmith

MODULES = [
    module.name
    for module in walk_packages(billsmith.__path__, "billsmith.")
    if not module.name.endswith(("__main__", "migrations.env"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name: str) -> None:
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_examples_and_a_wrong_one_is_seen(tmp_path: Path) -> None:
    """The negative control: the same run sees an example that lies."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert sum(len(test.examples) for name in MODULES for test in finder.find(import_module(name), name)) > 50
    lie = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "lie", None, None)
    assert doctest.DocTestRunner(verbose=False).run(lie, out=lambda text: None).failed == 1
