"""Bearer tokens: got by an OAuth 2 grant, renewed before they expire, and once more when a server refuses one."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from billsmith.outbound.answers import Answer, bytes_of
from billsmith.outbound.session import Call, Session
from billsmith.units.errors import Invalid

#: A token is renewed when so many seconds remain, or a quarter of its life if that is less.
MARGIN = 900
#: How long a token lasts that does not say so.
UNSAID = 3600


class _Grant(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float | str | None = None
    expires_on: float | str | None = None
    refresh_token: str | None = None


class Tokens:
    """Gives a token to each call. ``grant`` asks for one; ``rotated`` is told a refresh token before it counts."""

    def __init__(
        self, grant: Callable[[], Answer], session: Session, rotated: Callable[[str], None] = lambda _token: None
    ) -> None:
        self._grant = grant
        self._session = session
        self._rotated = rotated
        self._token = ""
        self._renew_at = 0.0

    def send(self, call: Call) -> Answer:
        """The answer to a call with a token; a 401 gets one new token and one more try."""
        answer = self._session.send(self._with_token(call))
        if answer.status == 401:
            self._token = ""
            answer = self._session.send(self._with_token(call))
        return answer

    def _with_token(self, call: Call) -> Call:
        now = self._session.settings.tools.clock() / 1_000_000_000
        if not self._token or now >= self._renew_at:
            self._take(self._grant(), now)
        return msgspec.structs.replace(call, headers={**call.headers, "Authorization": f"Bearer {self._token}"})

    def _take(self, answer: Answer, now: float) -> None:
        # Nothing of an answer that succeeded is shown: it holds what its reader could use.
        body = bytes_of(answer)
        try:
            grant = msgspec.json.decode(body, type=_Grant)
            life = _life(grant, now)
        except (msgspec.DecodeError, ValueError, UnicodeDecodeError):
            raise Invalid(f"{answer.where} answered with no token that can be read", code="outbound.token") from None
        self._session.hide(grant.access_token, grant.refresh_token or "")
        if grant.refresh_token:
            self._rotated(grant.refresh_token)
        self._token = grant.access_token
        self._renew_at = now + life - min(MARGIN, life / 4)


def _life(grant: _Grant, now: float) -> float:
    """Seconds that a token lasts: as said from now on, else up to an instant, by our clock."""
    if grant.expires_in is not None:
        return max(float(grant.expires_in), 0.0)
    if grant.expires_on is not None:
        return max(float(grant.expires_on) - now, 0.0)
    return UNSAID
