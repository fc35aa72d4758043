"""Settings: where they come from, in which order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from billsmith.server.settings import Settings, load
from billsmith.units.errors import Invalid


def written(home: Path, text: str) -> dict[str, str]:
    """A data folder with a settings file, and the variables that name it."""
    home.mkdir(exist_ok=True)
    (home / "billsmith.toml").write_text(text)
    return {"BILLSMITH_HOME": str(home)}


def test_without_anything_there_are_defaults() -> None:
    settings = load({}, {})
    assert settings == Settings(home=Path("billsmith-data"))
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)


@pytest.mark.parametrize(("variables", "file", "flags", "port"), [
    ({}, "", {}, 8080),
    ({"BILLSMITH_PORT": "1"}, "", {}, 1),
    ({"BILLSMITH_PORT": "1"}, "port = 2", {}, 2),
    ({"BILLSMITH_PORT": "1"}, "port = 2", {"port": 3}, 3),
    ({"BILLSMITH_PORT": "1"}, "", {"port": 3}, 3),
    ({}, "port = 2", {"port": None}, 2),
])  # fmt: skip
def test_variables_then_the_file_then_flags_in_rising_order(
    tmp_path: Path, variables: dict[str, str], file: str, flags: dict[str, int], port: int
) -> None:
    assert load(flags, {**written(tmp_path, file), **variables}).port == port


def test_the_data_folder_is_named_by_a_flag_before_the_variable(tmp_path: Path) -> None:
    environment = written(tmp_path / "a", "port = 2")
    written(tmp_path / "b", "port = 3")
    assert load({"home": tmp_path / "b"}, environment).port == 3
    assert load({}, environment).home == tmp_path / "a"


def test_every_setting_can_be_a_variable_or_a_line_of_the_file(tmp_path: Path) -> None:
    variables = {
        "BILLSMITH_DATABASE_URL": "postgresql://x/y",
        "BILLSMITH_PUBLIC_HOSTS": "a.example, b.example:8443",
        "BILLSMITH_TRUSTED_PROXIES": "10.0.0.1",
        "BILLSMITH_FACES": "acronis,native",
        "BILLSMITH_FACE_HOSTS": "acronis=a.example, native=b.example",
        "BILLSMITH_HOSTWAY_AMOUNTS": "number",
        "BILLSMITH_MAX_BODY": "1000",
    }
    file = """
        database_url = "postgresql://x/y"
        public_hosts = ["a.example", "b.example:8443"]
        trusted_proxies = ["10.0.0.1"]
        faces = ["acronis", "native"]
        face_hosts = { acronis = "a.example", native = "b.example" }
        hostway_amounts = "number"
        max_body = 1000
    """
    home = written(tmp_path, "")
    from_variables = load({}, {**home, **variables})
    assert from_variables == load({}, written(tmp_path, file))
    assert from_variables.public_hosts == ("a.example", "b.example:8443")
    assert from_variables.face_hosts == {"acronis": "a.example", "native": "b.example"}


@pytest.mark.parametrize(("variables", "file", "code"), [
    ({"BILLSMITH_PORT": "eighty"}, "", "settings.invalid"),
    ({}, 'port = "eighty"', "settings.invalid"),
    ({"BILLSMITH_FACES": "acronis,nobody"}, "", "settings.face"),
    ({"BILLSMITH_HOSTWAY_AMOUNTS": "words"}, "", "settings.hostway_amounts"),
    ({}, "prot = 8080", "settings.unknown"),
    ({}, "port =", "settings.file"),
])  # fmt: skip
def test_a_setting_that_is_wrong_is_refused(tmp_path: Path, variables: dict[str, str], file: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        load({}, {**written(tmp_path, file), **variables})
    assert refused.value.code == code


def test_every_field_is_described() -> None:
    from tests.docs.reference import _field_docs

    assert set(_field_docs()) == {field.name for field in msgspec.structs.fields(Settings)}
