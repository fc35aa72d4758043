"""Text → :class:`Catalog`: every fault with its source, line, path, and how to mend it."""

from __future__ import annotations

import datetime as dt
import re
import types
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import Any, NoReturn, Union, get_args, get_origin

import msgspec

from billsmith.catalog.catalog import Catalog
from billsmith.catalog.fields import fields_of
from billsmith.catalog.price import Price, price_models
from billsmith.catalog.text import Listing, Mapping, Node, Scalar, read_tree
from billsmith.units.calendar import Interval, Unit
from billsmith.units.errors import Invalid, InvalidCatalog
from billsmith.units.instants import parse_date
from billsmith.units.rounding import parse_decimal

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_INTERVAL = re.compile(r"(?:([0-9]{1,5}) )?([a-z]+?)s?", re.ASCII)


def parse(text: str, source_name: str) -> Catalog:
    """Read a catalog from YAML or JSON text; ``source_name`` stands in every error.

    Numbers are read from their text, exactly. The price models are those that are loaded (``billsmith.rating`` loads the
    house's own). Raises :class:`InvalidCatalog` for the first fault.

    >>> import billsmith.rating
    >>> parse("code: acme\\ncurrency: EUR", "acme.yaml").currency
    'EUR'
    """
    catalog: Catalog = read_as(Catalog, text, source_name)
    return catalog


def read_as(kind: Any, text: str, source_name: str) -> Any:
    """Read any catalog value, a price alone for example."""
    return from_tree(kind, read_tree(text, source_name), source_name)


def from_tree(kind: Any, tree: Node, source_name: str) -> Any:
    """Make any catalog value of a tree of texts."""
    return _Reader(source_name).value(tree, kind, "")


class _Reader:
    """Reads nodes as the types that the fields say."""

    def __init__(self, source: str) -> None:
        self._source = source

    def value(self, node: Node, kind: Any, path: str) -> Any:
        if get_origin(kind) in (Union, types.UnionType):
            return self._optional(node, kind, path)
        if get_origin(kind) is tuple:
            return self._list(node, get_args(kind)[0], path)
        if get_origin(kind) is dict:
            return self._named(node, get_args(kind)[1], path)
        if kind is Interval:
            return self._interval(node, path)
        if kind is Price:
            return self._price(node, path)
        if issubclass(kind, msgspec.Struct):
            return self._struct(self._mapping(node, path), kind, path)
        return self._scalar(node, kind, path)

    def _optional(self, node: Node, kind: Any, path: str) -> Any:
        (inner,) = [part for part in get_args(kind) if part is not types.NoneType]
        return None if isinstance(node, Scalar) and node.text is None else self.value(node, inner, path)

    def _list(self, node: Node, kind: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(node, Listing):
            self._fail(node, path, "a list is expected. Write its items with - before each", "catalog.not_a_list")
        return tuple(self.value(item, kind, f"{path}[{index}]") for index, item in enumerate(node.items))

    def _named(self, node: Node, kind: Any, path: str) -> dict[str, Any]:
        entries = self._mapping(node, path).entries
        return {name: self.value(item, kind, _join(path, name)) for name, item in entries.items()}

    def _mapping(self, node: Node, path: str) -> Mapping:
        if not isinstance(node, Mapping):
            self._fail(node, path, "names with values are expected, such as code: pro", "catalog.not_a_mapping")
        return node

    def _price(self, node: Node, path: str) -> Any:
        mapping = self._mapping(node, path)
        models = price_models()
        model = mapping.entries.get("model")
        known = f"One of {', '.join(models)}"
        if not isinstance(model, Scalar) or not model.text:
            self._fail(mapping, path, f"a price needs its model. {known}", "catalog.no_model")
        if model.text not in models:
            message = f"{model.text!r} is not a price model{_meant(model.text, models)}. {known}"
            self._fail(model, _join(path, "model"), message, "catalog.unknown_model")
        rest = {name: item for name, item in mapping.entries.items() if name != "model"}
        return self._struct(Mapping(rest, mapping.line), models[model.text], path)

    def _struct(self, mapping: Mapping, kind: type[msgspec.Struct], path: str) -> Any:
        fields = fields_of(kind)
        for name, node in mapping.entries.items():
            if name not in fields:
                message = f"{name!r} is not a field of {_word(kind)}{_meant(name, fields)}. It has {', '.join(sorted(fields))}"
                self._fail(node, _join(path, name), message, "catalog.unknown_field")
        missing = [name for name, field in fields.items() if field.required and name not in mapping.entries]
        if missing:
            self._fail(mapping, path, f"{_word(kind)} needs {', '.join(missing)}. Add it", "catalog.missing_field")
        values = {name: self.value(node, fields[name].type, _join(path, name)) for name, node in mapping.entries.items()}
        try:
            return kind(**values)
        except Invalid as error:
            raise self._moved(error, mapping, path) from None

    def _moved(self, error: Invalid, mapping: Mapping, path: str) -> InvalidCatalog:
        """A value's own complaint, with the place in the text added."""
        node: Node = mapping
        for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", error.where or ""):
            inner = _child(node, name, index)
            if inner is None:
                break
            node = inner
        return self._error(node, _join(path, error.where or ""), error.message, error.code)

    def _interval(self, node: Node, path: str) -> Interval:
        text = self._text(node, path)
        match = _INTERVAL.fullmatch(text)
        if match is None or match[2] not in set(Unit):
            message = f"{text!r} is not an interval such as month or 3 months. Units are {', '.join(Unit)}"
            self._fail(node, path, message, "catalog.not_an_interval")
        try:
            return Interval(Unit(match[2]), int(match[1] or 1))
        except Invalid as error:
            self._fail(node, path, error.message, error.code)

    def _scalar(self, node: Node, kind: type, path: str) -> Any:
        text = self._text(node, path)
        if kind is str:
            return text
        if kind is bool:
            if text not in ("true", "false"):
                self._fail(node, path, f"{text!r} is not true or false", "catalog.not_a_boolean")
            return text == "true"
        if kind is int:
            if not _WHOLE.fullmatch(text):
                self._fail(node, path, f"{text!r} is not a whole number", "catalog.not_a_whole_number")
            return int(text)
        if issubclass(kind, Enum):
            return self._choice(node, kind, text, path)
        try:
            return parse_date(text) if kind is dt.date else self._decimal(text, kind)
        except Invalid as error:
            self._fail(node, path, error.message, error.code)

    def _decimal(self, text: str, kind: type) -> Decimal:
        assert kind is Decimal, f"a catalog can't have a field of type {kind}"
        return parse_decimal(text)

    def _choice(self, node: Node, kind: type[Enum], text: str, path: str) -> Enum:
        choices = {str(choice.value): choice for choice in kind}
        if text not in choices:
            message = f"{text!r} is not one of {', '.join(choices)}{_meant(text, choices)}"
            self._fail(node, path, message, "catalog.unknown_choice")
        return choices[text]

    def _text(self, node: Node, path: str) -> str:
        if not isinstance(node, Scalar) or node.text is None:
            self._fail(node, path, "one value is expected here", "catalog.not_a_value")
        return node.text

    def _fail(self, node: Node, path: str, message: str, code: str) -> NoReturn:
        raise self._error(node, path, message, code)

    def _error(self, node: Node, path: str, message: str, code: str) -> InvalidCatalog:
        place = f"{self._source}:{node.line}"
        return InvalidCatalog(message, code=code, where=f"{place} {path}" if path else place)


def _join(path: str, name: str) -> str:
    if not path or not name:
        return path or name
    return f"{path}{name}" if name.startswith("[") else f"{path}.{name}"


def _child(node: Node, name: str, index: str) -> Node | None:
    if index and isinstance(node, Listing):
        return node.items[int(index)] if int(index) < len(node.items) else None
    return node.entries.get(name) if isinstance(node, Mapping) else None


def _word(kind: type[msgspec.Struct]) -> str:
    """A type's name as a word: ``UsageCharge`` is a usage charge."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).lower()
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _meant(name: str, known: Any) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
