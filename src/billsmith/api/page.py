"""The page to try the API at: one HTML file of our own, which loads nothing but the API's document."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from starlette.responses import Response


def response() -> Response:
    """``GET /v1/docs``: the page, and what it may do."""
    html, policy = _page()
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return Response(html, 200, headers, "text/html; charset=utf-8")


@lru_cache(maxsize=1)
def _page() -> tuple[str, str]:
    html = (files("billsmith.api") / "page.html").read_text("utf-8")
    script, style = _inside(html, "script"), _inside(html, "style")
    policy = (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"script-src '{_hash(script)}'; style-src '{_hash(style)}'"
    )
    return html, policy


def _inside(html: str, tag: str) -> str:
    [text] = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return str(text)


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
