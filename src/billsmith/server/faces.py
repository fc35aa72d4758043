"""Which APIs there are."""

from __future__ import annotations

from collections.abc import Callable

from billsmith.api import routes as native
from billsmith.server.app import App
from billsmith.server.pulls import Pulls
from billsmith.server.settings import Settings
from billsmith.server.sources import puller
from billsmith.vendors.acronis import routes as acronis
from billsmith.vendors.amberflo import routes as amberflo
from billsmith.vendors.hostway import routes as hostway
from billsmith.vendors.myreports import routes as myreports
from billsmith.wire.face import Face
from billsmith.wire.services import Services

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
    pulls = Pulls(puller(services.database, services.clock, services.sealer)) if settings.pull else None
    return App(services, faces, hosts=settings.face_hosts, pulls=pulls)
