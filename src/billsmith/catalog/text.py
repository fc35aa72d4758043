"""YAML (and so JSON) text → a tree of mappings, lists and texts, each with its line.

Scalars stay texts: what they are is decided by the field that they are read for, so ``0.10`` keeps its zero, ``no`` is Norway
as well as a word, and no float ever arises.
"""

from __future__ import annotations

import msgspec
import yaml

from billsmith.units.errors import InvalidCatalog, TooLarge

#: Limits on what is read: characters, nodes (an alias counts each time), nesting.
MAX_TEXT = 2_000_000
MAX_NODES = 200_000
MAX_DEPTH = 60

_NULL = "tag:yaml.org,2002:null"
_SCALARS = ("null", "bool", "int", "float", "str", "timestamp", "value", "merge")
_KNOWN = {f"tag:yaml.org,2002:{kind}" for kind in (*_SCALARS, "seq", "map")}


class Scalar(msgspec.Struct, frozen=True):
    """A text; ``None`` where nothing was written (or ``null``)."""

    text: str | None
    line: int


class Listing(msgspec.Struct, frozen=True):
    """A list."""

    items: tuple[Node, ...]
    line: int


class Mapping(msgspec.Struct, frozen=True):
    """Names and what stands under them."""

    entries: dict[str, Node]
    line: int


Node = Scalar | Listing | Mapping


def read_tree(text: str, source: str) -> Node:
    """Read a text. Raises :class:`InvalidCatalog` with ``source`` and line, :class:`TooLarge` beyond the limits.

    >>> read_tree("rate: 0.10", "prices.yaml").entries["rate"].text
    '0.10'
    """
    if len(text) > MAX_TEXT:
        raise TooLarge(f"{len(text)} characters; at most {MAX_TEXT} are read", code="catalog.too_large", where=source)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error, source) from None
    except (RecursionError, ValueError):
        raise InvalidCatalog("this is nested too deeply, or not text", code="catalog.yaml", where=source) from None
    if root is None:
        raise InvalidCatalog("there is nothing in it. A catalog has a code and a currency", code="catalog.empty", where=source)
    return _Reader(source).node(root, 0)


def _not_yaml(error: yaml.YAMLError, source: str) -> InvalidCatalog:
    mark = getattr(error, "problem_mark", None)
    place = source if mark is None else f"{source}:{mark.line + 1}"
    problem = getattr(error, "problem", None) or "it can't be read"
    return InvalidCatalog(f"this is not YAML: {problem}. Check indentation and quotes", code="catalog.yaml", where=place)


class _Reader:
    """Walks PyYAML's nodes and counts them."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._left = MAX_NODES

    def node(self, node: yaml.Node, depth: int) -> Node:
        self._left -= 1
        line = node.start_mark.line + 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise TooLarge(
                f"more than {MAX_NODES} values, or more than {MAX_DEPTH} levels",
                code="catalog.too_large",
                where=f"{self._source}:{line}",
            )
        if node.tag not in _KNOWN:
            raise self._bad(f"the tag {node.tag} is not read. Drop it", line)
        if isinstance(node, yaml.ScalarNode):
            plain_null = node.tag == _NULL and node.style is None
            return Scalar(None if plain_null else node.value, line)
        if isinstance(node, yaml.SequenceNode):
            return Listing(tuple(self.node(item, depth + 1) for item in node.value), line)
        assert isinstance(node, yaml.MappingNode)
        return Mapping(self._entries(node, depth), line)

    def _entries(self, node: yaml.MappingNode, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise self._bad("a name must be a plain text", line)
            if key.value in entries:
                raise self._bad(f"{key.value!r} stands there twice. Drop one", line, "catalog.key_twice")
            entries[key.value] = self.node(value, depth + 1)
        return entries

    def _bad(self, message: str, line: int, code: str = "catalog.yaml") -> InvalidCatalog:
        return InvalidCatalog(message, code=code, where=f"{self._source}:{line}")
