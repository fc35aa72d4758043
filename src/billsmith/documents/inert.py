"""Text that came from outside, made inert: in a terminal, in a CSV cell, in JSON on a terminal (promise P20).

Names, descriptions and references are whatever somebody typed. Here they lose what a terminal or a spreadsheet would act
on: control characters and changes of writing direction become visible escapes, and a cell that would be read as a formula
gets an apostrophe in front. Markup is no business of this module: whoever prints text prints it as text.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

# C0 and C1 controls, DEL, half surrogates, line and paragraph separators, marks that turn the writing direction, and the
# tag characters, which are invisible.
_ACTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# The signs that begin a formula, plain and full-width.
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20\u2212"
_STARTS_FORMULA = re.compile(f"\\s*[{_FORMULA}]")
# Where the reader's list separator is a semicolon, a cell may begin in the middle of ours.
_FORMULA_AFTER_SEPARATOR = re.compile(f";(?=\\s*[{_FORMULA}])")
_PLAIN_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)


def visible(text: str) -> str:
    r"""Text for a terminal: whatever the terminal would act on is written as an escape.

    >>> print(visible("a" + chr(27) + "[2Jb" + chr(0x202e)))
    a\x1b[2Jb\u202e
    """
    return _ACTIVE.sub(lambda match: _escape(match[0]), text)


def csv_cell(text: str) -> str:
    """Text for a CSV cell: never a formula. A plain negative number stays a number.

    >>> csv_cell("=1+1"), csv_cell("-12.50"), csv_cell("-1+cmd"), csv_cell("Müller")
    ("'=1+1", '-12.50', "'-1+cmd", 'Müller')
    """
    if _PLAIN_NUMBER.fullmatch(text):
        return text
    shown = _FORMULA_AFTER_SEPARATOR.sub(";'", visible(text))
    return f"'{shown}" if _STARTS_FORMULA.match(shown) or text[:1] in ("\t", "\r", "\n") else shown


def json_text(value: Any) -> str:
    """A value as JSON that a terminal does not act on either; every JSON reader reads the same value.

    >>> print(json_text({"name": chr(0x9b) + "ü"}))
    {"name":"\\u009bü"}
    """
    return _ACTIVE.sub(lambda match: _json_escape(match[0]), msgspec.json.encode(value).decode())


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    if short:
        return short
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
