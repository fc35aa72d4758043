"""``python -m tests.docs.generate``: writes the files that are made from code. test_generated.py holds them to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from billsmith.catalog.schema import catalog_schema
from billsmith.rating.steps import MODELS, PARTS
from tests.docs.errors import errors_page
from tests.docs.reference import cli_page, settings_page

ROOT = Path(__file__).parents[2]


def catalog_json_schema() -> str:
    models = {str(kind.__struct_config__.tag): kind for kind in (*MODELS, *PARTS)}
    return json.dumps(catalog_schema(models), indent=2, ensure_ascii=False) + "\n"


#: Each generated file, and what makes its text.
GENERATED: dict[str, Callable[[], str]] = {
    "src/billsmith/catalog/catalog.schema.json": catalog_json_schema,
    "docs/reference/cli.md": cli_page,
    "docs/reference/settings.md": settings_page,
    "docs/errors.md": errors_page,
}


def main() -> None:
    for name, make in GENERATED.items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(make(), "utf-8")
        print(name)


if __name__ == "__main__":
    main()
