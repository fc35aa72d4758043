"""Which APIs there are."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from billsmith.api import routes as native
from billsmith.server.app import App
from billsmith.server.jobs import Jobs
from billsmith.server.settings import Settings, mail_server
from billsmith.server.sources import puller
from billsmith.vendors.acronis import routes as acronis
from billsmith.vendors.amberflo import routes as amberflo
from billsmith.vendors.hostway import routes as hostway
from billsmith.vendors.myreports import routes as myreports
from billsmith.wire.face import Face
from billsmith.wire.services import Services
from billsmith.workflows.billing_work import cores
from billsmith.workflows.deliveries import Courier
from billsmith.workflows.jobs import Tools
from billsmith.workflows.mail import Postman

_FACES: dict[str, Callable[[], Face]] = {
    "acronis": acronis.face,
    "myreports": myreports.face,
    "hostway": hostway.face,
    "amberflo": amberflo.face,
    "native": native.face,
}


def application(settings: Settings, services: Services) -> App:
    """The application with the APIs that the settings name."""
    faces = [make() for name, make in _FACES.items() if name in settings.faces]
    jobs = Jobs(tools(settings, services)) if settings.jobs else None
    if jobs is not None:
        services = msgspec.structs.replace(services, wake=jobs.wake)
    return App(services, faces, hosts=settings.face_hosts, jobs=jobs)


def tools(settings: Settings, services: Services) -> Tools:
    """What jobs work with here."""
    assert services.usage_or_none is not None
    return Tools(
        database=services.database,
        clock=services.clock,
        usage=services.usage_or_none,
        puller=puller(services.database, services.clock, services.sealer) if settings.pull else None,
        courier=Courier(database=services.database, clock=services.clock, sealer=services.sealer),
        postman=Postman(database=services.database, clock=services.clock, server=mail_server(settings)),
        processes=cores(),
    )
