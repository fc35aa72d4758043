"""Generated files say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.generate import GENERATED, ROOT


@pytest.mark.parametrize("name", GENERATED)
def test_it_has_not_drifted(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == GENERATED[name](), f"{name} is stale: run make docs"
