"""The key that seals stored secrets: from the environment or this user's keyring, and from nowhere in the data folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec

from billsmith.units.errors import Unavailable
from billsmith.workflows.connections import from_keyring
from billsmith.workflows.sealing import Sealer, read_keys

VARIABLE = "BILLSMITH_SECRET_KEY"
#: The key's name in the keyring.
ENTRY = "secret-key"


def sealer(environment: Mapping[str, str] = os.environ) -> Sealer:
    """What seals and opens secrets; without a key it refuses to. Raises :class:`Invalid` for a key that is none."""
    text = environment.get(VARIABLE, "")
    return Sealer(read_keys(text, VARIABLE) if text.strip() else _keyring_keys())


def _keyring_keys() -> list[bytes]:
    if find_spec("keyring") is None:
        return []
    try:
        text = from_keyring(ENTRY)
    except Unavailable:  # no backend here: as if there were no keyring
        return []
    return read_keys(text, f"keyring:{ENTRY}") if text.strip() else []
