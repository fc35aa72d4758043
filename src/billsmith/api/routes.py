"""The native API: its resources, its document, its page."""

from __future__ import annotations

from functools import lru_cache

from starlette.responses import Response

from billsmith.accounts.authorisation import Principal
from billsmith.api import (
    accounts,
    agreements,
    catalogs,
    changes,
    connections,
    corrections,
    credentials,
    drafts,
    errors,
    event_lists,
    events,
    invoice_create,
    invoice_credits,
    invoice_drafts,
    invoice_steps,
    invoices,
    mails,
    meters,
    page,
    reconciliations,
    reminders,
    runs,
    simulations,
    subscriptions,
    unknown_usage,
    usage,
    wallets,
    webhooks,
)
from billsmith.api.openapi import document
from billsmith.api.operations import routes_of
from billsmith.units.errors import Unauthorized
from billsmith.wire.credentials import bearer
from billsmith.wire.face import Call, Face, json_response, route
from billsmith.wire.json import encode

NAME = "native"

OPERATIONS = (
    *invoices.OPERATIONS,
    *invoice_create.OPERATIONS,
    *invoice_drafts.OPERATIONS,
    *invoice_steps.OPERATIONS,
    *invoice_credits.OPERATIONS,
    *accounts.OPERATIONS,
    *credentials.OPERATIONS,
    *events.OPERATIONS,
    *event_lists.OPERATIONS,
    *corrections.OPERATIONS,
    *meters.OPERATIONS,
    *usage.OPERATIONS,
    *unknown_usage.OPERATIONS,
    *catalogs.OPERATIONS,
    *subscriptions.OPERATIONS,
    *wallets.OPERATIONS,
    *agreements.OPERATIONS,
    *connections.OPERATIONS,
    *reconciliations.OPERATIONS,
    *runs.OPERATIONS,
    *simulations.OPERATIONS,
    *drafts.OPERATIONS,
    *changes.OPERATIONS,
    *webhooks.OPERATIONS,
    *mails.OPERATIONS,
    *reminders.OPERATIONS,
)


def face() -> Face:
    """The native API."""
    return Face(
        NAME,
        [
            *routes_of(OPERATIONS),
            route("GET", "/v1/openapi.json", get_document, open=True),
            route("GET", "/v1/docs", get_page, open=True),
        ],
        prefixes=("/v1/",),
        authenticate=authenticate,
        error=errors.error,
        not_allowed=errors.not_allowed,
        broken=errors.broken,
    )


def authenticate(call: Call) -> Principal:
    """The account behind an api-key."""
    key = bearer(call.headers.get("authorization"))
    if key is None:
        raise Unauthorized("the request lacks `Authorization: Bearer <api-key>`", code="access.unauthorized")
    return call.services.authenticator.api_key(key, call.address)


def get_document(_call: Call) -> Response:
    """``GET /v1/openapi.json``."""
    return json_response(_document())


def get_page(_call: Call) -> Response:
    """``GET /v1/docs``."""
    return page.response()


@lru_cache(maxsize=1)
def _document() -> bytes:
    return encode(document(OPERATIONS))
