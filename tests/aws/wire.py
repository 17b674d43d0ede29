"""One request to the pretended AWS and its answer: read from WSGI, changed by rules, and written back."""

from __future__ import annotations

import io
import json
import re
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode
from xml.sax.saxutils import escape

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
FORM = "application/x-www-form-urlencoded"
_EMPTY = re.compile(rb"^(<\w+Response[^>]*>)(\s*<requestId>[^<]*</requestId>\s*)?(</\w+Response>\s*)$")
_DECLARED = re.compile(rb"^\s*<\?xml[^>]*\?>\s*")

ET.register_namespace("", NAMESPACE)


class Refused(Exception):
    """An answer that is an error: `code` and `message` as AWS words them, with an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass
class Reply:
    """What goes back: status, type and body."""

    status: int = 200
    body: bytes = b""
    type: str = "text/xml;charset=UTF-8"

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status < 300

    def tree(self) -> ET.Element:
        """Return the root of an XML answer."""
        return ET.fromstring(self.body)  # noqa: S314 (moto wrote it)


@dataclass
class Call:
    """One request: who asks which service where for what, and the parameters as they are sent on to moto."""

    environ: dict[str, Any]
    service: str
    region: str
    access_key: str
    action: str
    body: bytes
    params: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, environ: dict[str, Any]) -> Call:
        """Read one from WSGI: service and region stand in the signature's scope."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        found = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        key, region, service = found.groups() if found else ("", "", "")
        form = environ.get("CONTENT_TYPE", "").startswith(FORM)
        params = dict(parse_qsl(body.decode(), keep_blank_values=True)) if form else {}
        action = params.get("Action") or environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        path = f"{environ.get('REQUEST_METHOD')} {environ.get('PATH_INFO')}"
        rpc = re.search(r"/operation/(\w+)$", path)
        return cls(environ, service, region, key, action or (rpc[1] if rpc else path), body, params)

    @property
    def is_json(self) -> bool:
        """Whether it is one of the services that speak JSON."""
        return "json" in self.environ.get("CONTENT_TYPE", "")

    def json(self) -> dict[str, Any]:
        """Return the parameters of a JSON request."""
        found: dict[str, Any] = json.loads(self.body or b"{}")
        return found

    def rows(self, name: str) -> list[str]:
        """Return the values of `name.1`, `name.2` …"""
        found: list[str] = []
        while (value := self.params.get(f"{name}.{len(found) + 1}")) is not None:
            found.append(value)
        return found

    def drop(self, *names: str) -> None:
        """Take parameters away with everything below them."""
        for key in list(self.params):
            if any(key == name or key.startswith(f"{name}.") for name in names):
                del self.params[key]

    def replace(self, name: str, values: list[str]) -> None:
        """Put `values` as `name.1`, `name.2` … in place of what is there."""
        self.drop(name)
        self.params |= {f"{name}.{number}": value for number, value in enumerate(values, 1)}

    def filters(self) -> dict[str, list[str]]:
        """Return the filters, name to values."""
        found: dict[str, list[str]] = {}
        number = 1
        while (name := self.params.get(f"Filter.{number}.Name")) is not None:
            found[name] = self.rows(f"Filter.{number}.Value")
            number += 1
        return found

    def set_filters(self, filters: Mapping[str, list[str]]) -> None:
        """Put `filters` in place of those that are there."""
        self.drop("Filter")
        for number, (name, values) in enumerate(filters.items(), 1):
            self.params[f"Filter.{number}.Name"] = name
            self.replace(f"Filter.{number}.Value", values)

    def tag_sets(self) -> list[list[tuple[str, str]]]:
        """Return the tags that it wants to put, one list per thing."""
        prefixes = {"Tag"} | {f"TagSpecification.{number}.Tag" for number in range(1, 10)}
        found: list[list[tuple[str, str]]] = []
        for prefix in sorted(prefixes):
            tags: list[tuple[str, str]] = []
            while (key := self.params.get(f"{prefix}.{len(tags) + 1}.Key")) is not None:
                tags.append((key, self.params.get(f"{prefix}.{len(tags) + 1}.Value", "")))
            if tags:
                found.append(tags)
        return found

    def outgoing(self) -> dict[str, Any]:
        """Return the environment with which moto is asked."""
        body = urlencode(self.params).encode() if self.params else self.body
        return {**self.environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}

    def error(self, refused: Refused) -> Reply:
        """Return the error in the shape of the service's protocol."""
        code, message = refused.code, refused.message
        kind = self.environ.get("CONTENT_TYPE", "")
        if "cbor" in kind:
            return Reply(refused.status, _cbor({"__type": code, "message": message}), "application/cbor")
        if self.is_json:
            return Reply(refused.status, json.dumps({"__type": code, "message": message}).encode(), kind)
        error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
        if self.service == "ec2":
            text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
        else:
            side = "Sender" if refused.status < 500 else "Receiver"
            text = f"<ErrorResponse><Error><Type>{side}</Type>{error}</Error></ErrorResponse>"
        return Reply(refused.status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def answer(action: str, inner: str) -> Reply:
    """Return an EC2 answer with `inner` XML."""
    text = f'<{action}Response xmlns="{NAMESPACE}"><requestId>{uuid.uuid4()}</requestId>{inner}</{action}Response>'
    return Reply(body=text.encode())


def written(root: ET.Element) -> bytes:
    """Return a tree as the body of an answer."""
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def below(root: ET.Element, path: str) -> list[ET.Element]:
    """Return the elements on `path`, whose parts are of EC2's namespace."""
    return root.findall("/".join(f"{{{NAMESPACE}}}{part}" for part in path.split("/")))


def text_of(element: ET.Element, path: str) -> str:
    """Return the text at `path` below `element`, or nothing."""
    found = below(element, path)
    return (found[0].text or "") if found else ""


def as_real(body: bytes) -> bytes:
    """Give an EC2 answer of moto the namespace and the `return` element that EC2 writes."""
    body = _DECLARED.sub(b"", body.replace(NAMESPACE[:-1].encode() + b'"', NAMESPACE.encode() + b'"'))
    empty = _EMPTY.match(body)
    if empty:
        body = empty[1] + (empty[2] or b"") + b"<return>true</return>" + empty[3]
    return body


def _cbor(texts: Mapping[str, str]) -> bytes:
    """Return a map of short texts as CBOR (RFC 8949)."""
    parts = [bytes([0xA0 | len(texts)])]
    for text in (word for pair in texts.items() for word in pair):
        data = text.encode()
        parts.append((bytes([0x60 | len(data)]) if len(data) < 24 else b"\x79" + len(data).to_bytes(2, "big")) + data)
    return b"".join(parts)
