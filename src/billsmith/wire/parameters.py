"""Query parameters and headers, read strictly: repeated, too long, not text — each fault names its parameter."""

from __future__ import annotations

from collections.abc import Iterable

from billsmith.accounts.model import is_clean_text
from billsmith.units.errors import Invalid

MAX_PARAMETER = 1024
_TRUE = {"true", "1"}
_FALSE = {"false", "0"}


class Parameters:
    """The query of one request. A parameter may stand once, except where a face reads :meth:`every`."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def normalised(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """All of them, in one order whatever order they came in."""
        return tuple(sorted((name, tuple(values)) for name, values in self._values.items()))

    def names(self) -> list[str]:
        """The parameters that were given, in order."""
        return list(self._values)

    def every(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [self._check(name, value) for value in self._values.get(name, [])]

    def text(self, name: str, most: int = MAX_PARAMETER) -> str | None:
        """A parameter's text of at most so many characters, ``None`` when it is absent. Raises :class:`Invalid`."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise Invalid(f"{name} is given {len(values)} times; give it once", code="input.repeated", where=name)
        return self._check(name, values[0], most)

    def boolean(self, name: str, default: bool | None = None) -> bool | None:
        """``true``/``false``/``1``/``0`` in any case (Python's ``requests`` sends ``True``). Empty counts as absent."""
        text = self.text(name)
        if text is None or text == "":
            return default
        word = text.lower()
        if word in _TRUE:
            return True
        if word in _FALSE:
            return False
        raise Invalid(f"{name} is true or false, not {shown(text)}", code="input.not_boolean", where=name)

    def integer(self, name: str, default: int | None = None, *, low: int = -(2**31), high: int = 2**31 - 1) -> int | None:
        """A whole number in ASCII digits between ``low`` and ``high``. Empty counts as absent."""
        text = self.text(name)
        if text is None or text == "":
            return default
        digits = text[1:] if text[0] in "+-" else text
        if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
            raise Invalid(f"{name} is a whole number, not {shown(text)}", code="input.not_integer", where=name)
        value = int(text)
        if not low <= value <= high:
            raise Invalid(f"{name} is between {low} and {high}, not {shown(text)}", code="input.out_of_range", where=name)
        return value

    def _check(self, name: str, value: str, most: int = MAX_PARAMETER) -> str:
        if len(value) > most:
            raise Invalid(f"{name} has more than {most} characters", code="input.too_long", where=name)
        if not is_clean_text(value):
            raise Invalid(f"{name} holds a control character", code="input.control_character", where=name)
        return value


def shown(text: str, limit: int = 60) -> str:
    """A caller's own text, quoted and cut for an error message."""
    return repr(text if len(text) <= limit else text[:limit] + "…")
