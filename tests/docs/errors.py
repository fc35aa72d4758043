"""docs/errors.md: every error code of the source, what it is about, and where it is raised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "billsmith"
_CODE = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z0-9_]*)+")

#: Areas whose codes are also handed on as plain arguments.
AREAS = {
    "access",
    "account",
    "catalog",
    "event",
    "import",
    "input",
    "invoice",
    "meter",
    "price",
    "program",
    "pull",
    "store",
    "system",
    "usage",
}

_NOTE = "<!-- Written by `make docs`; edit the source, not this page. -->\n"
_PREFACE = """# Error codes

Each error says what was wrong, where, and how to mend it, and carries a code that never changes. The command line shows it in brackets, the
native API as `code` in the problem details. Below stands each code with the words of its message; `…` is what differs from case to case.
"""


def errors_page() -> str:
    """The page."""
    parts = [_NOTE, _PREFACE]
    area = ""
    for code, messages in sorted(codes().items()):
        if code.partition(".")[0] != area:
            area = code.partition(".")[0]
            parts.append(f"\n## {area}\n\n| code | message |\n| --- | --- |")
        told = "<br>".join(sorted(_shown(message) for message in messages if message)) or "(see the message)"
        parts.append(f"| `{code}` | {told} |")
    return "\n".join(parts) + "\n"


def codes() -> dict[str, set[str]]:
    """Every code that the source names, with the messages that stand beside it."""
    found: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for code, message in _codes_of(ast.parse(path.read_text("utf-8"))):
            found.setdefault(code, set()).add(message)
    return found


def _codes_of(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            message = next((_text(argument) for argument in node.args if _text(argument)), "")
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from ((code, message) for code in _literals(keyword.value))
            if getattr(node.func, "id", "") not in ("ForeignKey", "Change"):
                given = [code for argument in node.args for code in _literals(argument) if code.partition(".")[0] in AREAS]
                yield from ((code, "" if message in given else message) for code in given)
        elif isinstance(node, ast.Assign) and any(isinstance(at, ast.Name) and at.id == "default_code" for at in node.targets):
            yield from ((code, "") for code in _literals(node.value))


def _literals(node: ast.expr) -> list[str]:
    """The codes that an expression may be: a text, or either side of a condition."""
    if isinstance(node, ast.IfExp):
        return [*_literals(node.body), *_literals(node.orelse)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
        return [node.value]
    return []


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_text(value) for value in values)
        case ast.FormattedValue():
            return "…"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + (_text(right) or "…")
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_text(body)} / {_text(orelse)}"
    return ""


def _shown(message: str) -> str:
    return " ".join(message.split()).replace("|", "\\|").replace("<", "&lt;")
