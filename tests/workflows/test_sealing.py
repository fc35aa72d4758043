"""Secrets at rest: sealed with a key that is elsewhere, for one connection and address alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billsmith.units.errors import BillsmithError, Invalid, NotFound, Unavailable
from billsmith.workflows.connections import read_secret
from billsmith.workflows.sealing import Sealer, read_keys

ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


@given(st.text(min_size=1, max_size=200), st.text(max_size=50))
def test_sealing_is_undone_by_opening(secret: str, context: str) -> None:
    sealer = Sealer([ONE])
    try:
        sealed = sealer.seal(secret, context)
    except UnicodeEncodeError:
        return
    assert sealer.open(sealed, context) == secret
    assert secret.encode() not in sealed or len(secret) < 3
    assert sealer.seal(secret, context) != sealed  # never the same bytes twice


def test_another_context_or_one_flipped_bit_opens_nothing() -> None:
    sealer = Sealer([ONE])
    sealed = sealer.seal("secret", "acronis at https://a")
    with pytest.raises(Invalid, match=r"secret\.context"):
        sealer.open(sealed, "acronis at https://b")
    for place in range(len(sealed)):
        damaged = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(BillsmithError):
            sealer.open(damaged, "acronis at https://a")


def test_keys_are_changed_with_both_at_hand() -> None:
    sealed = Sealer([ONE]).seal("secret", "x")
    both = Sealer([OTHER, ONE])
    assert both.open(sealed, "x") == "secret"
    assert (both.is_current(sealed), both.is_current(both.seal("secret", "x"))) == (False, True)
    with pytest.raises(Unavailable, match=r"secret\.no_key"):
        Sealer([OTHER]).open(sealed, "x")


def test_without_a_key_nothing_is_sealed() -> None:
    with pytest.raises(Unavailable, match="BILLSMITH_SECRET_KEY"):
        Sealer().seal("secret", "x")


@pytest.mark.parametrize("text", ["short", "x" * 44, "A" * 40, "A" * 43 + "=,short", "§" * 32])
def test_what_is_no_key_is_refused_and_not_told(text: str) -> None:
    with pytest.raises(Invalid) as error:
        read_keys(text, "BILLSMITH_SECRET_KEY")
    assert text not in str(error.value)


def test_a_sealer_and_a_secret_show_nothing() -> None:
    from billsmith.workflows.connections import Secret

    assert ONE.hex() not in repr(Sealer([ONE]))
    assert "horse" not in repr(Secret(text="horse"))


def test_where_secrets_are_read(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("A_SECRET", "horse")
    file = tmp_path / "secret"
    file.write_text("horse\n")
    assert read_secret("env:A_SECRET") == read_secret(f"file:{file}") == "horse"
    for missing, kind in [("env:NO_SUCH", Unavailable), (f"file:{tmp_path}/no", NotFound), ("x:y", Invalid), ("env:", Invalid)]:
        with pytest.raises(kind):
            read_secret(missing)


def test_a_keyring_is_asked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = pytest.importorskip("keyring")
    monkeypatch.setattr(keyring, "get_password", lambda service, name: f"{service}/{name}")
    assert read_secret("keyring:acronis") == "billsmith/acronis"
    monkeypatch.setattr(keyring, "get_password", lambda _service, _name: None)
    with pytest.raises(Unavailable, match="holds no secret"):
        read_secret("keyring:acronis")
