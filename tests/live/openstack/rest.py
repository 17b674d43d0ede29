"""A small client of OpenStack's interfaces, which knows nothing of the code under test."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError, URLError

from tests.live.openstack.places import PASSWORD, url

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
VERSIONS = {"keystone": "/v3", "nova": "/v2.1", "neutron": "/v2.0", "cinder": "/v3", "glance": "/v2", "placement": ""}
MICRO = {"OpenStack-API-Version": "compute 2.96, volume 3.71", "X-OpenStack-Nova-API-Version": "2.96"}


class Refused(Exception):
    """A service said no; `status` is its code."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:500]}")
        self.status = status


class Session:
    """A person logged in to a project."""

    def __init__(self, user: str, project: str, password: str = PASSWORD) -> None:
        self.user, self.project, self.password = user, project, password
        self._token = ""

    def login(self) -> str:
        """Return a new token."""
        domain = {"name": "Default"}
        auth = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": self.user, "password": self.password, "domain": domain}},
            },
            "scope": {"project": {"name": self.project, "domain": domain}},
        }
        _, headers = _send("POST", f"{url('keystone')}/v3/auth/tokens", {"auth": auth}, {})
        return headers["X-Subject-Token"]

    def __call__(self, method: str, service: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask a service, once more with a new token when the old one is no longer good. Raises: Refused."""
        self._token = self._token or self.login()
        where = f"{url(service)}{VERSIONS[service.removesuffix('2')]}/{path}"
        for last in (False, True):
            try:
                return _send(method, where, body, {"X-Auth-Token": self._token, **MICRO})[0]
            except Refused as error:
                if last or error.status != 401:
                    raise
                self._token = self.login()
        raise AssertionError

    def gone(self, service: str, path: str) -> None:
        """Delete something; what is gone already is fine."""
        try:
            self("DELETE", service, path)
        except Refused as error:
            if error.status != 404:
                raise


def _send(method: str, where: str, body: Any, headers: Mapping[str, str]) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Send a request; a service that has just been started may not listen yet."""
    raw = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    request = urllib.request.Request(where, raw, {"Content-Type": kind, **headers}, method=method)  # noqa: S310
    for patience in (0.2, 0.5, 1.0, 0.0):
        try:
            with DIRECT.open(request, timeout=120) as reply:
                text = reply.read()
                return (json.loads(text) if text else {}), reply.headers
        except HTTPError as error:
            raise Refused(error.code, f"{method} {where}: {error.read().decode(errors='replace')}") from None
        except URLError:
            if not patience:
                raise
            time.sleep(patience)
    raise AssertionError
