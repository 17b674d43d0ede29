"""What OpenStack's services answer, and what keystoneauth raises, as the house's errors: one line and a hint.

Each service wraps its message in its own way (https://docs.openstack.org/api-guide/compute/faults.html,
https://docs.openstack.org/api-ref/network/v2, https://docs.openstack.org/api-ref/identity/v3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from cloudms.errors import (
    CloudmsError,
    Conflict,
    Denied,
    Exists,
    Invalid,
    NoCapacity,
    NotFound,
    NotReady,
    Throttled,
    Unsupported,
)

WAYS = (
    "give auth_url, username, password and project_name in cloudmesh.yaml (OS_AUTH_URL … are as good), an application "
    "credential, or the name of a cloud in clouds.yaml (cloud: NAME, OS_CLOUD)"
)
_KEYS = "look at user, password, project and domains (or the application credential), then: cms cloud check"
_RIGHT = "ask whoever runs the cloud for this right, or for a role on the project (docs/openstack.md lists them)"
_QUOTA = "cms quota list shows the limits; whoever runs the cloud raises them"
_STATE = "wait until it has settled: cms vm list"
_ADDRESS = "look at the network, at auth_url and the setting endpoint"

SERVICES = {
    "compute": "nova", "image": "glance", "network": "neutron", "volume": "cinder", "identity": "keystone",
}  # fmt: skip
"""What people call the services."""

_FULL = re.compile(
    r"quota|no valid host|insufficient|no more (ip|floating)|not enough|out of (ip|addresses)|exceeds? (the )?(allowed|"
    r"maximum|limit)|limit exceeded|no available|no more.*addresses",
    re.IGNORECASE,
)
"""Words of a refusal that comes from a limit or from a lack of room, whatever its number."""
_TAKEN = re.compile(r"already exists|already in use by|duplicate|is already (associated|used)", re.IGNORECASE)
_METADATA = re.compile(r"metadata (items|property)|number of metadata|tags exceeds|tag_quota", re.IGNORECASE)
_MARKUP = r"<(style|script|title)\b.*?</\1>|</?(?:!doctype|html|head|body|h\d|p|br|hr|center|pre|div|span|a|b)\b[^>]*>"
_SECRET = (
    (r"gAAAA[A-Za-z0-9_=-]{20,}", "(token)"),
    (r"://[^/\s]*@", "://"),
    (r"\(HTTP \d+\)", ""),
    (r"\(?Request-ID: *req-[0-9a-f-]+\)?", ""),
)


def answered(status: int, body: str, what: str, service: str, region: str, headers: Mapping[str, Any]) -> CloudmsError:
    """Return the error for an answer that is none of success.

    Parameters: `status` and `body` of the answer; `what`, method and path that was asked for.
    """
    text, word = said(body)
    who = SERVICES.get(service, service)
    where = f"{who}{f' in {region}' if region else ''}"
    details: dict[str, Any] = {"status": status, "asked": what, "service": service, "region": region}
    if word:
        details["code"] = word
    kind, hint = _kind(status, f"{word} {text}")
    if kind is Throttled:
        details["retry_after"] = _retry_after(headers)
    if kind is Denied and status == 403:
        text = f"not allowed: {text}" if text else f"not allowed: {what}"
    if status >= 500 and kind is NotReady:
        text = text or "it has trouble of its own"
    return kind(f"{where}: {text or 'no reason given'} ({status})", hint=hint, details=details)


def _kind(status: int, text: str) -> tuple[type[CloudmsError], str]:
    """Return the class of error and the hint for an answer's number and words."""
    if status in (413, 429):
        return (NoCapacity, _QUOTA) if "quota" in text.lower() else (Throttled, "wait a little")
    if status in (400, 403, 409) and _METADATA.search(text):
        return Invalid, "give fewer or shorter labels"
    if status in (400, 403, 409, 500) and _FULL.search(text):
        return NoCapacity, _QUOTA
    if status in (400, 409) and _TAKEN.search(text):
        return Exists, "choose another name"
    return _BY_STATUS.get(status) or ((NotReady, "try again in a moment") if status >= 500 else (Invalid, ""))


_BY_STATUS: dict[int, tuple[type[CloudmsError], str]] = {
    401: (Denied, _KEYS), 402: (NoCapacity, _QUOTA), 403: (Denied, _RIGHT), 404: (NotFound, ""),
    405: (Unsupported, ""), 406: (Unsupported, "this cloud speaks an older version"), 408: (NotReady, "try again"),
    409: (Conflict, _STATE), 410: (NotFound, ""), 412: (Conflict, _STATE), 423: (Conflict, "it is locked"),
    501: (Unsupported, ""), 507: (NoCapacity, _QUOTA),
}  # fmt: skip


def said(body: str) -> tuple[str, str]:
    """Return the message in the body of an answer as one line, and the word of its kind where it has one."""
    try:
        found = json.loads(body) if body.lstrip()[:1] in ("{", "[") else None
    except ValueError:
        found = None
    if isinstance(found, Mapping):
        message, word = _message(found)
        return plain(message), word
    return plain(body), ""


def _message(found: Mapping[str, Any]) -> tuple[str, str]:
    """Return message and kind: `{"itemNotFound": {"message": …}}`, `{"NeutronError": {"type": …}}`, `{"error": …}`."""
    errors = found.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], Mapping):
        return str(errors[0].get("detail") or errors[0].get("title") or ""), str(errors[0].get("code") or "")
    for word, inner in found.items():
        if isinstance(inner, Mapping) and ("message" in inner or "type" in inner):
            kind = str(inner.get("type") or inner.get("title") or word)
            return str(inner.get("message") or inner.get("detail") or kind), kind
    for word, inner in found.items():
        if isinstance(inner, str) and word.lower() in ("message", "faultstring", "error", "detail"):
            return inner, ""
    inner = next(iter(found.values()), "")
    return (inner, next(iter(found))) if isinstance(inner, str) else ("", "")


def mapped(error: Exception, what: str, service: str = "", region: str = "") -> CloudmsError:
    """Return the house's error for one of keystoneauth's or requests'."""
    from keystoneauth1 import exceptions as ka

    if isinstance(error, CloudmsError):
        return error
    details = {"asked": what, "service": service, "region": region, "error": type(error).__name__}
    if isinstance(error, ka.HttpError):
        response = getattr(error, "response", None)
        body = str(getattr(response, "text", "") or error.message or "")
        headers = getattr(response, "headers", None) or {}
        if what == SIGN_IN and error.http_status in (404, 405):
            return Invalid(_NO_KEYSTONE.format(text=plain(said(body)[0])), hint=_AUTH_URL, details=details)
        return answered(int(error.http_status or 0) or 500, body, what, service or "identity", region, headers)
    who = f"{SERVICES.get(service, 'OpenStack')}{f' in {region}' if region else ''}"
    text = cause(str(error))
    if "SSL" in type(error).__name__ and "CERTIFICATE" not in str(error).upper():
        return Invalid(
            f"{who} speaks no TLS there: {text}", hint="does its address begin with http://?", details=details
        )
    for names, kind, message, hint in _CLASSES:
        if any(cls.__name__ in names for cls in type(error).__mro__):
            return kind(message.format(who=who, text=text), hint=hint, details=details)
    return NotReady(
        f"{who} could not be asked: {text or type(error).__name__}",
        hint="cms doctor",
        details={**details, "retry": False},
    )


SIGN_IN = "sign in"
"""What is asked of keystone first."""
_NO_KEYSTONE = "there is no keystone at auth_url: {text}"
_AUTH_URL = "auth_url is the address of keystone, such as https://host:5000/v3"
_CLASSES: tuple[tuple[tuple[str, ...], type[CloudmsError], str, str], ...] = (
    (("SSLFailure", "SSLError"), Denied, "the certificate of {who} is not trusted: {text}",
     "set cacert to the file of whoever signed it, or verify: false where nothing is at stake"),
    (("ConnectTimeout", "Timeout"), NotReady, "{who} did not answer in time", _ADDRESS),
    (("ConnectFailure", "RetriableConnectionFailure", "UnknownConnectionError", "ConnectionError"), NotReady,
     "{who} is not reachable: {text}", _ADDRESS),
    (("DiscoveryFailure", "VersionNotAvailable", "InvalidResponse", "JSONDecodeError"), Invalid,
     _NO_KEYSTONE, _AUTH_URL),
    (("EmptyCatalog", "EndpointNotFound"), Unsupported, "{who} is not in the catalog of this cloud", "cms cloud check"),
    (("MissingRequiredOptions", "MissingAuthPlugin", "NoMatchingPlugin", "AuthPluginException", "OptionError"), Denied,
     "the credentials are not complete: {text}", WAYS),
    (("AuthorizationFailure", "MissingAuthMethods", "FederationException"), Denied, "{text}", _KEYS),
    (("InvalidURL", "InvalidSchema", "MissingSchema"), Invalid, "auth_url is not a URL: {text}",
     "such as https://host:5000/v3"),
)  # fmt: skip
"""Names of exceptions → the house's, the message and the hint, the first that fits."""


def cause(text: str) -> str:
    """Return why a connection failed, out of what the layers below have wrapped it in, and to where."""
    where = re.search(r"https?://(?:[^/@\s]*@)?([^/\s:]+(?::\d+)?)", text)
    why = re.search(r"\[Errno -?\d+\] ([^'\")]+)|\[SSL: [^\]]*\] ([^('\"]+)", text)
    if why is None:
        return plain(text)
    return f"{(why[1] or why[2]).strip()}{f' ({where[1]})' if where else ''}"


def code_of(error: CloudmsError) -> str:
    """Return the word that a service gave an error (neutron: its type), or an empty string."""
    return str(error.details.get("code") or "")


def status_of(error: CloudmsError) -> int:
    """Return the number of the answer that an error came from, 0 when there was none."""
    return int(error.details.get("status") or 0)


def unclear(error: CloudmsError) -> bool:
    """Whether what was asked for may have been done although this error came: its answer was lost, or is a 5xx."""
    return isinstance(error, NotReady) and (status_of(error) == 0 or status_of(error) >= 500)


def plain(text: str) -> str:
    """Return one line of what was said, without tokens, request ids and the tags of a page."""
    text = re.sub(_MARKUP, " ", text, flags=re.DOTALL | re.IGNORECASE)
    for pattern, instead in _SECRET:
        text = re.sub(pattern, instead, text)
    return " ".join(text.split()).rstrip(". ")[:400]


def _retry_after(headers: Mapping[str, Any]) -> float:
    """Return the seconds that the service asks to wait, 0 when it says nothing."""
    value = next((value for name, value in headers.items() if str(name).lower() == "retry-after"), "")
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", str(value)) else 0.0


__all__ = ["SERVICES", "WAYS", "answered", "code_of", "mapped", "plain", "said", "status_of", "unclear"]
