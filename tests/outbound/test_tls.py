"""https to a pinned address: the name stands in SNI and Host, and the certificate must be the name's (promise P19)."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from billsmith.outbound import origins
from billsmith.outbound.retries import Patience
from billsmith.outbound.session import Session, Settings, Tools
from billsmith.units.errors import Unavailable

NAME = "vendor.test"


def certificate(folder: Path, name: str) -> Path:
    """A certificate of this name, signed by itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = dt.datetime(2020, 1, 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return file


class TlsServer:
    """Answers one request; ``names`` are what callers asked for by SNI, ``heads`` what they sent."""

    def __init__(self, pem: Path) -> None:
        self.names: list[str | None] = []
        self.heads: list[bytes] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        raw, _ = self.listener.accept()
        try:
            with self.context.wrap_socket(raw, server_side=True) as connection:
                self.heads.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")
        except OSError:
            raw.close()

    def close(self) -> None:
        self.thread.join(5)
        self.listener.close()


def session(port: int, trusted: Path) -> Session:
    url = f"https://{NAME}:{port}"
    tools = Tools(resolver=lambda _host, _port: ["127.0.0.1"], ssl_context=ssl.create_default_context(cafile=str(trusted)))
    return Session(url, Settings(tools=tools, private=frozenset({origins.parse(url)[0]}), patience=Patience(attempts=1)))


def test_the_name_is_asked_for_and_checked(tmp_path: Path) -> None:
    pem = certificate(tmp_path, NAME)
    server = TlsServer(pem)
    with session(server.port, pem) as speaking:
        assert speaking.get("/").body == b"{}"
    server.close()
    assert server.names == [NAME]
    assert f"Host: {NAME}:{server.port}".encode() in server.heads[0]


@pytest.mark.parametrize("shown", ["other.test", "127.0.0.1"])
def test_another_names_certificate_is_refused(tmp_path: Path, shown: str) -> None:
    """Though it is trusted, and the address is the pinned one; nothing is sent."""
    pem = certificate(tmp_path, shown)
    server = TlsServer(pem)
    with session(server.port, pem) as speaking, pytest.raises(Unavailable) as refused:
        speaking.get("/", headers={"X-API-KEY": "secret"})
    server.close()
    assert "certificate" in refused.value.message.lower()
    assert server.heads in ([], [b""])


def test_a_certificate_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    server = TlsServer(certificate(tmp_path, NAME))
    other = tmp_path / "other"
    other.mkdir()
    with session(server.port, certificate(other, NAME)) as speaking, pytest.raises(Unavailable):
        speaking.get("/")
    server.close()
    assert server.heads in ([], [b""])
