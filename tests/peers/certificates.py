"""A certificate for 127.0.0.1 and localhost, signed by itself."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers.processes import need


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate and its key; the certificate is its own authority (`ca_file`)."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """The context of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(folder: Path, days: int = 1) -> Certificate:
    """Write `certificate.pem` and `key.pem` into a folder; valid for so many days. Raises PeerMissing without openssl."""
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    command = [
        need("openssl", "openssl"), "req", "-x509", "-nodes", "-days", str(days), "-subj", "/CN=localhost",
        "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout", str(made.key), "-out", str(made.certificate),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return made
