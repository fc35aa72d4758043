"""The OpenAPI 3.1 document, made of the operations and the shapes that the handlers themselves use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from billsmith import __version__
from billsmith.api.errors import PROBLEM, Problem
from billsmith.api.operations import Operation, QueryParameter
from billsmith.workflows.idempotency import MAX_KEY

_COMPONENTS = "#/components/schemas/{name}"

_ERRORS = {
    400: "The request is wrong; `where` names the field or parameter.",
    401: "The credential is missing, wrong, expired or revoked.",
    403: "The credential lacks a scope, or may not do this to that.",
    404: "Not there, or not for this account to know.",
    405: "The path has no such method; `Allow` names those it has.",
    409: "The state forbids it, the name is taken, or a request with this Idempotency-Key is at work.",
    413: "The body is too large, or nested too deep.",
    415: "The body's media type or encoding is not one that is read here.",
    422: "The Idempotency-Key came with another request before.",
    429: "Too much at once, or too many failed credentials; `Retry-After` says when to come back.",
    503: "The store can't take this now; `Retry-After` says when to come back.",
}
_ALWAYS = (400, 401, 403, 405, 429, 503)
_OF_WRITES = (409, 413, 415, 422)
_OF_TAKES = (413, 415)

_PATH_PARAMETERS = {
    "invoice": ("The invoice's id.", {"type": "string", "format": "uuid"}),
    "credential": ("The credential's id.", {"type": "string", "format": "uuid"}),
    "connection": ("The connection's id, or its name.", {"type": "string", "minLength": 1, "maxLength": 128}),
    "mail": ("The mail's id.", {"type": "string", "format": "uuid"}),
    "webhook": ("The webhook's id.", {"type": "string", "format": "uuid"}),
    "subscription": ("The subscription's id.", {"type": "string", "format": "uuid"}),
    "correction": ("The correction's id.", {"type": "string", "format": "uuid"}),
    "simulation": ("The simulation's id.", {"type": "string", "format": "uuid"}),
    "run": ("The run's id.", {"type": "string", "format": "uuid"}),
    "grant": ("The grant's id.", {"type": "string", "format": "uuid"}),
    "agreement": ("The agreement's id.", {"type": "string", "format": "uuid"}),
    "catalog": ("The catalog's code.", {"type": "string", "minLength": 1, "maxLength": 128}),
    "meter": ("The meter's code.", {"type": "string", "minLength": 1, "maxLength": 64}),
    "account": ("A UUID, or an external id at or below the caller's account.", {"type": "string", "minLength": 1}),
}

_DESCRIPTION = """Invoices, accounts and credentials of a billsmith.

- Send an api-key as `Authorization: Bearer …`. It acts for its account: it reaches accounts at or below it, and sees the \
invoices that its account issued and those issued to it or below it.
- Amounts are read exactly from JSON numbers or strings, and are written as strings.
- Instants are RFC 3339 in UTC. Dates have no zone. A period holds its start and not its end.
- Lists are read page by page with `cursor`.
- Repeat any POST or PATCH safely with an `Idempotency-Key`: the same request gets the same answer for at least thirty days, \
and has one effect.
- Errors are problem details (RFC 9457) with a `code` that never changes."""


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document. Its order is that of the operations."""
    bodies = [each.body for each in operations if each.body is not None]
    kinds = list(dict.fromkeys([Problem, *(each.answer for each in operations), *bodies]))
    references, components = msgspec.json.schema_components(kinds, ref_template=_COMPONENTS)
    schemas = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas, operations)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "billsmith",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in operations)],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "An api-key."}},
            "responses": {str(status): _error(text, schemas[Problem]) for status, text in _ERRORS.items()},
        },
    }


def _operation(operation: Operation, schemas: dict[Any, Any], operations: Sequence[Operation]) -> dict[str, Any]:
    parameters = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", operation.path)]
    parameters += [_query_parameter(parameter) for parameter in operation.query]
    result: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": f"{operation.description} Scope: `{operation.scope.value}`.".strip(),
        "parameters": parameters,
    }
    if operation.body is not None:
        parameters.append(_IDEMPOTENCY_KEY)
        result["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(operation.body)),
            "content": {"application/json": {"schema": schemas[operation.body], "example": dict(operation.example)}},
        }
    if operation.bodies:
        result["requestBody"] = {"required": True, "content": {media: dict(each) for media, each in operation.bodies.items()}}
    result["responses"] = {
        str(operation.status): {**_success(operation, schemas), **_links(operation, operations)},
        **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(_error_statuses(operation))},
    }
    return result


def _error_statuses(operation: Operation) -> set[int]:
    statuses = set(_ALWAYS)
    if "{" in operation.path:
        statuses.add(404)
    if operation.write is not None:
        statuses.update(_OF_WRITES)
    if operation.take is not None:
        statuses.update(_OF_TAKES)
    return statuses


def _success(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if operation.status == 201 and operation.path.count("/") == 2:
        headers["Location"] = {"description": "Where it can be read.", "schema": {"type": "string"}}
    if operation.write is not None:
        headers["Idempotency-Replayed"] = {
            "description": "`true` where this is the answer to an earlier request.",
            "schema": {"type": "string", "enum": ["true"]},
        }
    answer: dict[str, Any] = {
        "description": "Made." if operation.status == 201 else "Done." if operation.write else "Read.",
        "content": {"application/json": {"schema": schemas[operation.answer]}},
    }
    return {**answer, "headers": headers} if headers else answer


def _links(operation: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """What can be done next with the thing made: every operation below its collection."""
    if operation.method != "POST" or "{" in operation.path:
        return {}
    place = re.compile(re.escape(operation.path) + r"/\{(\w+)\}")
    return {
        "links": {
            each.id: {"operationId": each.id, "parameters": {match[1]: "$response.body#/id"}}
            for each in operations
            if (match := place.match(each.path))
        }
    }


def _error(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {PROBLEM: {"schema": schema}}}


def _path_parameter(name: str) -> dict[str, Any]:
    description, schema = _PATH_PARAMETERS[name]
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _query_parameter(parameter: QueryParameter) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.required:
        written["required"] = True
    return {**written, "style": "form", "explode": False} if parameter.many else written


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Names this request, so that sending it again has no second effect. A UUID is a good key.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}
