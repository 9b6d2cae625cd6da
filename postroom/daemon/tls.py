"""The certificate that we show to those who hand us mail."""

from __future__ import annotations

import ssl

from postroom.config import Config
from postroom.errors import ConfigError


def server_context(config: Config) -> ssl.SSLContext | None:
    """What `smtp.tls` asks for; None for off. Raises ConfigError where the certificate cannot be used.

    The key may stand in the certificate's file. TLS 1.2 is the oldest that is spoken (RFC 8996).
    """
    if config.smtp.tls == "off":
        return None
    certificate = config.resolve(config.smtp.tls_certificate)
    key = config.resolve(config.smtp.tls_key or config.smtp.tls_certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigError(f"smtp.{name}: {file}: {error.strerror}") from error
    try:
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(f"smtp.tls_certificate: {certificate} with key {key}: {_words(error)}") from error
    return context


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error).partition("\n")[0] or "cannot be read as PEM"
