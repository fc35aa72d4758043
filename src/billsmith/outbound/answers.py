"""What came back, and what its status means in our errors."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from billsmith.units.errors import BillsmithError, Busy, Forbidden, Invalid, NotFound, Unauthorized, Unavailable

_UNSHOWN = re.compile(r"[^ -~]+|\s{2,}", re.ASCII)
MAX_SHOWN = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer, read whole. ``where`` says to what (``GET https://host/path``), header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    where: str
    retry_after: float | None = None
    secrets: frozenset[str] = frozenset()

    @property
    def kind(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.where}, {len(self.body)} bytes)"


def json_of(answer: Answer) -> bytes:
    """The body of an answer that succeeded and is JSON; raises what :func:`bytes_of` does, or :class:`Invalid`."""
    body = bytes_of(answer)
    if answer.kind != "application/json" and not answer.kind.endswith("+json"):
        named = ascii(answer.kind[:60]) if answer.kind else "none"
        raise Invalid(
            f"{answer.where} answered with content type {named} instead of JSON; is the address the API's? {said(answer)}",
            code="outbound.not_json",
        )
    return body


def bytes_of(answer: Answer) -> bytes:
    """The body of an answer that succeeded (200). Raises an error that says what the vendor said, and how to mend it."""
    if answer.status == 200:
        return answer.body
    raise problem(answer)


def pdf_of(answer: Answer) -> bytes:
    """The body of an answer that succeeded and is a PDF; raises what :func:`bytes_of` does, or :class:`Invalid`."""
    return _file_of(answer, b"%PDF-", "a PDF")


def zip_of(answer: Answer) -> bytes:
    """The body of an answer that succeeded and is a ZIP; raises what :func:`bytes_of` does, or :class:`Invalid`."""
    return _file_of(answer, b"PK", "a ZIP")


def _file_of(answer: Answer, begins: bytes, what: str) -> bytes:
    """Vendors give files under several content types; what a file is its first bytes say."""
    body = bytes_of(answer)
    if not body.startswith(begins):
        raise Invalid(
            f"{answer.where} answered with something that is not {what}. {said(answer)}".strip(), code="outbound.not_a_file"
        )
    return body


def problem(answer: Answer) -> BillsmithError:
    """An answer that did not succeed, as an error of ours."""
    status, told = answer.status, f"{answer.where} answered {answer.status}. {said(answer)}".strip()
    if status == 401:
        return Unauthorized(f"{told} Check the credential, and whether it has expired", code="outbound.unauthorized")
    if status == 403:
        return Forbidden(f"{told} The credential lacks a permission for this at the vendor", code="outbound.forbidden")
    if status == 404:
        return NotFound(f"{told} Check the address and the ids in it", code="outbound.not_found")
    if status == 429:
        seconds = max(1, round(answer.retry_after or 1))
        return Busy(f"{told} Try again in {seconds} s", code="outbound.rate_limited", retry_after=seconds)
    if status >= 500:
        return Unavailable(f"{told} The vendor's server is at fault; try again later", code="outbound.server_error")
    if 300 <= status < 400:
        return Invalid(f"{told} It sends elsewhere, which is not followed; give the final address", code="outbound.redirect")
    return Invalid(f"{told} The vendor does not take this request", code="outbound.refused")


def said(answer: Answer) -> str:
    """The beginning of what the server said, without anything secret or unprintable."""
    text = answer.body[: 4 * MAX_SHOWN].decode("utf-8", "replace")
    for secret in sorted(answer.secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    shown = _UNSHOWN.sub(" ", text).strip()[:MAX_SHOWN]
    return f'It said: "{shown}".' if shown else ""
