"""The server under measure, in a process of its own: the application as it is, and beside it the ceiling.

The ceiling of a face is a route that authenticates as the face does and answers with bytes from memory. What those are is
told by a ``PUT`` to it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

import msgspec
import uvicorn
from starlette.responses import Response

from billsmith.accounts.authorisation import Principal
from billsmith.server import interpreter
from billsmith.server.faces import application
from billsmith.server.settings import Settings, open_database, services
from billsmith.vendors.acronis import errors as any_errors
from billsmith.wire.answers import MOST_BYTES, Answers
from billsmith.wire.face import Call, Face, json_response, route


def ceiling(face: Face) -> Face:
    """The ceiling beside a face: the same authentication, an answer from memory."""
    held: dict[str, bytes] = {}

    def keep(call: Call) -> Response:
        held["body"] = call.body
        return json_response(b"{}")

    def give(_call: Call) -> Response:
        return json_response(held["body"])

    def authenticate(call: Call) -> Principal:
        return face._authenticate(call)

    path = f"/ceiling/{face.name}"
    return Face(
        f"ceiling of {face.name}",
        [route("GET", path, give), route("PUT", path, keep, writes=True)],
        authenticate=authenticate,
        error=any_errors.error,
        not_allowed=any_errors.not_allowed,
        broken=any_errors.broken,
    )


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=int, default=MOST_BYTES, help="bytes of answers kept; 0: none")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    # Jobs are for another process: what is measured are lists.
    settings = Settings(home=Path("unused"), database_url=options.url, tokens_per_minute=100_000, jobs=False)
    database = open_database(settings)
    kept = msgspec.structs.replace(services(settings, database), answers=Answers(options.answers))
    app = application(settings, kept)
    app.faces = (*app.faces, *(ceiling(face) for face in app.faces))
    config = uvicorn.Config(
        app, host="127.0.0.1", port=options.port, log_level="warning", access_log=False, timeout_keep_alive=600
    )
    interpreter.prepare()
    asyncio.run(uvicorn.Server(config).serve())
    database.close()


if __name__ == "__main__":
    main()
