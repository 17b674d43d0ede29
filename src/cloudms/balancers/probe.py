"""One look at a member, as a balancer's check does it."""

from __future__ import annotations

import http.client
import socket

_PATIENCE = 0.5
"""Seconds that a member has to answer: it is looked at again by the balancer itself."""


def passes(host: str, port: int, path: str) -> bool:
    """Whether a member answers a GET of `path` with 200, or accepts a connection where there is no path."""
    if not path:
        try:
            socket.create_connection((host, port), timeout=_PATIENCE).close()
        except OSError:
            return False
        return True
    line = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        line.request("GET", path, headers={"Connection": "close"})
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
