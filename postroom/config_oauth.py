"""`[oauth.NAME]`: by which app we log in to mail accounts without a password (OAuth 2.0, RFC 6749)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from postroom.config_section import Section, shown
from postroom.errors import ConfigError

HOSTS_OF_THIS_MACHINE = {"localhost", "127.0.0.1", "::1"}
ANY_TENANT = "common"
NO_APP_TENANTS = {ANY_TENANT, "organizations", "consumers"}  # Microsoft gives an app no token for these
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,99}")
SCOPE = re.compile(r"[!#-\[\]-~]{1,500}")  # RFC 6749 §3.3

Flow = Literal["browser", "device", "app"]


class Oauth(Section, frozen=True, kw_only=True):
    """`[oauth.NAME]`: an app that is registered with whoever keeps the accounts."""

    client_id: str
    provider: Literal["", "google", "microsoft"] = ""  # "" is the URLs below
    tenant: str = ANY_TENANT
    flow: Literal["", "browser", "device", "app"] = ""  # "" is the provider's
    client_secret_file: str = ""
    client_secret_env: str = ""
    token_url: str = ""
    device_url: str = ""
    authorize_url: str = ""
    scopes: tuple[str, ...] = ()
    ca_file: str = ""  # "" is the system's store
    timeout_seconds: float = 30

    @property
    def way(self) -> Flow:
        """How a login is made. Google's device flow does not give the scope that IMAP and SMTP need."""
        return self.flow or ("browser" if self.provider == "google" else "device")

    def url(self, kind: Literal["token", "device", "authorize"]) -> str:
        """Where to ask for that; "" where nobody said."""
        own: str = getattr(self, f"{kind}_url")
        return own or URLS.get(self.provider, {}).get(kind, "").format(tenant=self.tenant)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The scopes to ask for."""
        return self.scopes or SCOPES.get((self.provider, self.way == "app"), ())


URLS: Mapping[str, Mapping[str, str]] = {
    "google": {
        "token": "https://oauth2.googleapis.com/token",
        "device": "https://oauth2.googleapis.com/device/code",
        "authorize": "https://accounts.google.com/o/oauth2/v2/auth",
    },
    "microsoft": {
        "token": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "device": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
        "authorize": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
    },
}
SCOPES: Mapping[tuple[str, bool], tuple[str, ...]] = {  # by provider, and whether the app logs in by itself
    ("google", False): ("https://mail.google.com/",),
    ("microsoft", False): (
        "https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send", "offline_access",
    ),
    ("microsoft", True): ("https://outlook.office365.com/.default",),
}  # fmt: skip


def check_oauth(apps: Mapping[str, Oauth]) -> None:
    """ConfigError for what is missing, and for a URL to which secrets must not go."""
    for name, app in apps.items():
        path = f"oauth.{name}"
        if not TENANT.fullmatch(app.tenant):
            raise ConfigError(f"{path}.tenant: {shown(app.tenant)} is no tenant such as example.com")
        if not app.client_id:
            raise ConfigError(f"{path}.client_id: is empty")
        for scope in app.scopes:
            if not SCOPE.fullmatch(scope):
                raise ConfigError(f"{path}.scopes: {shown(scope)} is no scope")
        if app.way == "app":
            _check_app(app, path)
        needed = {"app": ("token",), "device": ("token", "device"), "browser": ("token", "authorize")}[app.way]
        for kind in ("token", "device", "authorize"):
            url = app.url(kind)
            if url:
                _check_url(url, f"{path}.{kind}_url")
            elif kind in needed:
                raise ConfigError(f"{path}.{kind}_url: is missing; or name a provider")


def _check_app(app: Oauth, path: str) -> None:
    if not (app.client_secret_file or app.client_secret_env):
        raise ConfigError(f'{path}.client_secret_file: is missing, and flow = "app" needs it')
    if app.provider == "google":
        raise ConfigError(f'{path}.flow: "app" is nothing that Google gives mail to; use "browser"')
    if app.provider == "microsoft" and app.tenant in NO_APP_TENANTS:
        raise ConfigError(f'{path}.tenant: flow = "app" needs your own, such as example.onmicrosoft.com')


def _check_url(url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or not url.isascii() or not url.isprintable() or " " in url or parts.username or parts.fragment:
        raise ConfigError(f"{path}: {shown(url)} is no URL such as https://login.example.com/token")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in HOSTS_OF_THIS_MACHINE):
        raise ConfigError(f"{path}: secrets go there, so it has to begin with https://")
