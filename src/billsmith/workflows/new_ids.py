"""Ids that derive from nothing: drawn at random."""

from __future__ import annotations

import secrets

from billsmith.units.ids import random_id_of


def new_id() -> str:
    """A random id (UUID version 4)."""
    return random_id_of(secrets.token_bytes(16))
