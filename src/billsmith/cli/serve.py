"""``billsmith serve``: the APIs on one port."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from billsmith.cli.common import PLAIN, Common, opened, settings_of
from billsmith.cli.output import Record, note
from billsmith.server import run


def serve(
    *,
    host: Annotated[str | None, Parameter(help="The address to listen at (BILLSMITH_HOST; 127.0.0.1).")] = None,
    port: Annotated[int | None, Parameter(help="The port; 0 takes any that is free (BILLSMITH_PORT; 8080).")] = None,
    common: Common = PLAIN,
) -> None:
    """Serve every API on one port until Ctrl-C or SIGTERM; requests under way are finished first.

    It listens at 127.0.0.1 unless told otherwise. Behind another name, set BILLSMITH_PUBLIC_HOSTS.

    Example: billsmith serve --port 8080
    """
    settings = settings_of(common, host=host, port=port)
    with opened(common) as database:
        run.serve(settings, database, started=lambda address, _stop: _tell(common, address))


def _tell(common: Common, address: str) -> None:
    common.show(Record(row={"listening": address}, id_field="listening"))
    note("Ctrl-C ends it")
