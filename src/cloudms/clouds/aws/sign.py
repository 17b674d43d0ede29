"""Signing requests to EC2's query API (Signature Version 4), the same as botocore signs them, without its imports.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import SplitResult

from cloudms.clouds.aws.settings import Secrets

TYPE = "application/x-www-form-urlencoded; charset=utf-8"
_ALGORITHM = "AWS4-HMAC-SHA256"
_USUAL_PORTS = {"http": 80, "https": 443}


def signed(url: SplitResult, body: str, keys: Secrets, region: str, now: float) -> dict[str, str]:
    """Return the headers of a POST of `body` to EC2 in `region`, signed at `now` (epoch seconds)."""
    at = f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    headers = {"content-type": TYPE, "host": _host(url), "x-amz-date": at}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(headers)
    lines = "".join(f"{name}:{' '.join(value.split())}\n" for name, value in headers.items())
    request = "\n".join(("POST", url.path or "/", "", lines, names, _digest(body)))
    scope = f"{at[:8]}/{region}/ec2/aws4_request"
    signature = _seal(keys.secret, scope, "\n".join((_ALGORITHM, at, scope, _digest(request))))
    headers["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _host(url: SplitResult) -> str:
    """Return the value of the header Host, as http.client sends it."""
    host = (url.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    return host if url.port in (None, _USUAL_PORTS.get(url.scheme)) else f"{host}:{url.port}"


def _seal(secret: str, scope: str, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
