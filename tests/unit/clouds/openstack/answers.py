"""A way to OpenStack that answers from a table, so that requests and shapes are tested without a cloud."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from cloudms.clock import ManualClock
from cloudms.clouds.base import Setup
from cloudms.clouds.openstack.errors import answered
from cloudms.clouds.openstack.link import Link
from cloudms.clouds.openstack.settings import Settings
from cloudms.clouds.openstack.signin import Login
from cloudms.errors import CloudmsError

PROJECT, OWNER, TOKEN = "p1", "ada@lab", "t1"

Asked = tuple[str, str, Any, dict[str, list[str]]]
"""Method with path, region, body and query."""
Answer = Any


def refused(status: int, body: str = "", service: str = "network") -> CloudmsError:
    """Return the error for an answer with this number."""
    return answered(status, body, "asked", service, "R1", {})


def neutron(kind: str, status: int = 409, message: str = "no") -> CloudmsError:
    """Return the error for one of Neutron's."""
    return refused(status, f'{{"NeutronError": {{"type": "{kind}", "message": "{message}", "detail": ""}}}}')


class Told(Link):
    """A link whose services say what a table says: `SERVICE METHOD PATH` (a pattern) → an answer, an error to raise,
    a list of them for one request after the other, or a function of body and query that returns one.
    """

    def __init__(self, table: Mapping[str, Answer], **settings: Any) -> None:
        self.clock = ManualClock()
        super().__init__(Setup(name="os", owner=OWNER, clock=self.clock), self.clock)
        self.table = dict(table)
        self.asked: list[Asked] = []
        self.headers: list[Mapping[str, str]] = []
        self.versions = {"compute": (2, 96), "volume": (3, 70)}
        self._settings = Settings(login=Login(auth={}), **{"region": "R1", "regions": ("R1",), **settings})

    @property
    def project(self) -> str:
        return PROJECT

    def every_region(self) -> tuple[str, ...]:
        return self._settings.regions if self._settings else ()

    def endpoint(self, service: str, region: str = "") -> str:
        return service

    def version(self, service: str, region: str = "") -> tuple[int, int]:
        return self.versions.get(service, (0, 0))

    def _answer(
        self, method: str, url: str, service: str, region: str, *, body: Any = None, query: Any = None,
        headers: Mapping[str, str] | None = None, patience: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        said = f"{service} {method} {url.removeprefix(service)}"
        pairs: dict[str, list[str]] = {}
        for name, value in query.items() if isinstance(query, Mapping) else query or ():
            pairs.setdefault(name, []).extend(map(str, value if isinstance(value, list | tuple) else [value]))
        self.asked.append((said, region, body, pairs))
        self.headers.append(dict(headers or {}))
        found = next((pattern for pattern in self.table if re.fullmatch(pattern, said)), None)
        if found is None:
            raise refused(404, f'{{"itemNotFound": {{"message": "{said}"}}}}', service)
        return self._one(found, body, pairs)

    def _one(self, pattern: str, body: Any, query: dict[str, list[str]]) -> dict[str, Any]:
        answer = self.table[pattern]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Callable):  # type: ignore[arg-type]
            answer = answer(body, query)
        if isinstance(answer, CloudmsError):
            raise answer
        return dict(answer)

    def said(self, pattern: str) -> list[Any]:
        """Return the bodies of the requests that match."""
        return [body for said, _region, body, _query in self.asked if re.fullmatch(pattern, said)]

    def queries(self, pattern: str) -> list[dict[str, list[str]]]:
        """Return the queries of the requests that match."""
        return [query for said, _region, _body, query in self.asked if re.fullmatch(pattern, said)]


def opened(cls: type[Any], link: Told, **options: Any) -> Any:
    """Return a cloud of these parts whose required calls do nothing when the parts do not have them."""
    missing = {name: lambda *_args, **_more: () for name in getattr(cls, "__abstractmethods__", ())}
    made = type("Part", (cls,), missing)(Setup(name="os", owner=OWNER, options=options, clock=link.clock))
    made.link = link
    return made


def server(ident: str = "s1", name: str = "web", token: str = TOKEN, **more: Any) -> dict[str, Any]:
    """Return a server of ours as Nova describes it."""
    return {
        "id": ident, "name": name, "status": "ACTIVE", "OS-EXT-STS:task_state": None, "image": {"id": "i1"},
        "flavor": {"original_name": "m1.tiny"}, "addresses": {}, "created": "2026-11-30T12:00:00Z",
        "metadata": {"cms:token": token, "cms:owner": OWNER}, "tags": [f"cms:{token}"], **more,
    }  # fmt: skip
