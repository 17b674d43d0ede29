"""The way to OpenStack: one session of keystoneauth, requests as JSON, errors as the house's, pages to their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from cloudms import __version__
from cloudms.clock import Clock
from cloudms.clouds.base import Setup
from cloudms.clouds.openstack import catalogue, session
from cloudms.clouds.openstack import settings as reading
from cloudms.clouds.openstack.errors import SIGN_IN, answered, mapped
from cloudms.clouds.openstack.settings import ALL, Settings
from cloudms.clouds.regions import each
from cloudms.errors import CloudmsError, Invalid, NotFound, NotReady, Unsupported
from cloudms.names import nearest

T = TypeVar("T")

WRITTEN_FOR: Mapping[str, tuple[int, int]] = {"compute": (2, 96), "volume": (3, 70)}
"""The newest microversions that this is written against, by service; older clouds are spoken to in theirs."""
_HEADERS = {"compute": ("compute", "X-OpenStack-Nova-API-Version"), "volume": ("volume", "")}
_MANY_PAGES = 100_000


class Link:
    """Session and catalog of one cloud, made when first needed, usable from several threads at once.

    Nothing is repeated here but what keystone refused for an old token: the guards around every cloud retry what may
    be retried, and whoever makes something looks first whether it was made.
    """

    def __init__(self, setup: Setup, clock: Clock) -> None:
        self.setup = setup
        self.clock = clock
        self._lock = threading.RLock()
        self._session: Any = None
        self._settings: Settings | None = None
        self._versions: dict[tuple[str, str], tuple[int, int]] = {}

    @property
    def settings(self) -> Settings:
        """Return the settings, read once. Raises: Invalid, Denied, NotFound (no such cloud in clouds.yaml)."""
        with self._lock:
            if self._settings is None:
                self._settings = reading.read(self.setup, self.setup.credentials())
            return self._settings

    # -- places --------------------------------------------------------------------------------------------------

    @property
    def region(self) -> str:
        """Return the home region: where new things go. Raises: Invalid (nothing says which of several)."""
        settings = self.settings
        known = settings.region or next((each for each in settings.regions if each != ALL), "")
        if known:
            return known
        found = self.every_region()
        if len(found) > 1:
            raise Invalid(
                f"cloud '{self.setup.name}' has several regions: {', '.join(found[:8])}",
                hint="set location under default of this cloud, or OS_REGION_NAME",
            )
        return found[0] if found else ""

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions that are listed, the home region first. Raises: Invalid."""
        wanted = self.settings.regions
        if ALL in wanted:
            wanted = self.every_region()
        return tuple(dict.fromkeys((self.region, *wanted)))

    def every_region(self) -> tuple[str, ...]:
        """Return the regions of the catalog that have nova."""
        return catalogue.regions(self.catalog(), self.settings.login.interface)

    def check_region(self, region: str) -> str:
        """Return a region that is in the catalog. Raises: NotFound, naming the nearest."""
        known = self.every_region()
        if region not in known:
            close = nearest(region, known)
            raise NotFound(
                f"cloud '{self.setup.name}' has no region {region!a}",
                hint=f"did you mean {close}?" if close else f"it has {', '.join(known[:8]) or 'none'}",
            )
        return region

    # -- session -------------------------------------------------------------------------------------------------

    def session(self) -> Any:
        """Return keystoneauth's session, made once. Raises: MissingExtra, Denied, Invalid."""
        with self._lock:
            if self._session is None:
                session.sdk()
                self._session = session.opened(self.settings.login)
            return self._session

    def access(self) -> Any:
        """Return what keystone gave: token, user, project, catalog; asked once and again when it has run out.

        Raises: Denied, NotReady, Invalid.
        """
        opened = self.session()
        with self._lock:  # or else every thread would sign in by itself
            return self._try(lambda: opened.auth.get_access(opened), SIGN_IN, "identity", "")

    def catalog(self) -> list[dict[str, Any]]:
        """Return the services and their endpoints. Raises: Denied, NotReady."""
        listed = getattr(self.access(), "service_catalog", None)
        return list(listed.catalog or ()) if listed is not None else []

    @property
    def project(self) -> str:
        """Return the id of the project that one is signed in to."""
        return str(self.access().project_id or "")

    def endpoint(self, service: str, region: str = "") -> str:
        """Return the URL of a service without a slash at its end.

        Raises: NotFound (no such region), Unsupported (the cloud, or this region, has no such service).
        """
        settings, where = self.settings, region or self.region
        url = settings.endpoints.get(service) or catalogue.url(self.catalog(), service, where, settings.login.interface)
        if not url and where:
            self.check_region(where)
        if not url:
            raise Unsupported(
                f"cloud '{self.setup.name}' has no service {service}{f' in {where}' if where else ''}",
                hint="the catalog of the cloud does not name one: openstack catalog list",
            )
        return catalogue.versioned(url, service)

    def has(self, service: str, region: str = "") -> bool:
        """Whether there is such a service."""
        try:
            return bool(self.endpoint(service, region))
        except (Unsupported, NotFound):
            return False

    def version(self, service: str, region: str = "") -> tuple[int, int]:
        """Return the microversion spoken with a service: the highest that both sides know, (0, 0) where it has none."""
        if service not in WRITTEN_FOR:
            return 0, 0
        key = service, region or self.region
        with self._lock:
            if key not in self._versions:
                self._versions[key] = self._negotiated(*key)
            return self._versions[key]

    def _negotiated(self, service: str, region: str) -> tuple[int, int]:
        root = catalogue.root(self.endpoint(service, region))
        try:
            told = self._answer("GET", root, service, region)
        except (NotFound, Unsupported, Invalid):
            return 0, 0
        least, most = catalogue.span(told, WRITTEN_FOR[service][0])
        spoken = min(most, WRITTEN_FOR[service])
        if spoken < least:
            raise Unsupported(
                f"{service} of cloud '{self.setup.name}' speaks nothing older than {'.'.join(map(str, least))}",
                hint="a newer cloudms is needed",
            )
        return spoken

    # -- asking --------------------------------------------------------------------------------------------------

    def get(self, service: str, path: str, region: str = "", **query: Any) -> dict[str, Any]:
        """Return what a service tells under a path below its endpoint. Raises: any error of the house."""
        return self.ask("GET", service, path, region, query=query)

    def post(self, service: str, path: str, body: Any, region: str = "", *, patience: float = 0.0) -> dict[str, Any]:
        """Post JSON, never twice, and wait `patience` seconds more than usual for the answer.

        Raises: any error of the house; `errors.unclear` tells whether it may be done.
        """
        return self.ask("POST", service, path, region, body=body, patience=patience)

    def put(
        self, service: str, path: str, body: Any, region: str = "", *, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Put JSON; `headers` such as neutron's If-Match. Raises: any error of the house."""
        return self.ask("PUT", service, path, region, body=body, headers=headers)

    def patch(self, service: str, path: str, body: Any, region: str = "") -> dict[str, Any]:
        """Patch with JSON; a list is a JSON patch, as glance wants it. Raises: any error of the house."""
        return self.ask("PATCH", service, path, region, body=body)

    def delete(self, service: str, path: str, region: str = "", **query: Any) -> dict[str, Any]:
        """Delete. Raises: any error of the house, NotFound when it is gone already."""
        return self.ask("DELETE", service, path, region, query=query)

    def pages(self, service: str, path: str, key: str, region: str = "", **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the rows under `key` of every page. Raises: any error of the house, after the rows that came."""
        seen: set[str] = set()
        asked: list[tuple[str, str]] = catalogue.pairs(query)
        for _page in range(_MANY_PAGES):
            reply = self.ask("GET", service, path, region, query=asked)
            rows = reply.get(key) or ()
            yield from rows
            following = catalogue.following(reply, key, rows, asked)
            if not following or following in seen:
                return
            seen.add(following)
            asked = parse_qsl(urlsplit(following).query, keep_blank_values=True)

    def ask(
        self, method: str, service: str, path: str, region: str = "", *, body: Any = None, query: Any = None,
        version: str = "", headers: Mapping[str, str] | None = None, patience: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        """Ask for anything; `version` is another microversion than that agreed on. Raises: any error of the house."""
        where = region or self.region
        url = f"{self.endpoint(service, where)}/{path.lstrip('/')}"
        spoken = self.version(service, where) if not version else tuple(map(int, version.split(".")))
        more = {**_version_headers(service, spoken), **(headers or {})}
        return self._answer(method, url, service, where, body=body, query=query, headers=more, patience=patience)

    def _answer(
        self, method: str, url: str, service: str, region: str, *, body: Any = None, query: Any = None,
        headers: Mapping[str, str] | None = None, patience: float = 0.0,
    ) -> dict[str, Any]:  # fmt: skip
        """Return the JSON of an answer. Raises: any error of the house."""
        self.access()
        opened, settings = self.session(), self.settings
        more: dict[str, Any] = {"headers": {"Accept": "application/json", **(headers or {})}}
        if body is not None:
            more["json"] = body
            if method == "PATCH" and isinstance(body, list):
                more["headers"]["Content-Type"] = "application/openstack-images-v2.1-json-patch"
        what = f"{method} {urlsplit(url).path}"
        reply = self._try(
            lambda: opened.request(
                url, method, params=catalogue.pairs(query or {}), raise_exc=False, authenticated=True,
                timeout=(settings.connect_timeout or None, settings.read_timeout + patience or None),
                user_agent=f"cloudms/{__version__}", **more,
            ),
            what, service, region,
        )  # fmt: skip
        if reply.status_code >= 400:
            raise answered(reply.status_code, reply.text, what, service, region, reply.headers)
        return self._json(reply, what, service)

    def _json(self, reply: Any, what: str, service: str) -> dict[str, Any]:
        if not reply.content:
            return {}
        try:
            found = reply.json()
        except ValueError:
            raise NotReady(
                f"{service} answered to {what} with something that is not JSON",
                hint="something between here and the cloud answers in its place: look at the endpoint and the proxy",
                details={"retry": False},
            ) from None
        return found if isinstance(found, dict) else {"": found}

    def _try(self, do: Callable[[], T], what: str, service: str, region: str) -> T:
        try:
            return do()
        except CloudmsError:
            raise
        except Exception as error:
            if not type(error).__module__.startswith(("keystoneauth1", "requests", "urllib3")):
                raise
            raise mapped(error, what, service, region) from None

    def each_region(self, do: Callable[[str], Iterable[T]], service: str = "compute") -> Iterator[T]:
        """Yield what `do` returns for every region, asked in parallel; those that fail are raised after all rows.

        Parameters: `service`, the one that is asked; regions without it are left out when another has it.
        Raises: the error of the broken region, named; with several, that of the first with all of them named.
        """
        regions = self.regions
        if service != "compute" and len(regions) > 1:
            regions = tuple(region for region in regions if self.has(service, region)) or regions
        yield from each(regions, do)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            opened, self._session = self._session, None
        if opened is not None:
            opened.session.close()


def _version_headers(service: str, spoken: tuple[int, ...]) -> dict[str, str]:
    if service not in _HEADERS or not any(spoken):
        return {}
    word, older = _HEADERS[service]
    text = ".".join(map(str, spoken))
    return {"OpenStack-API-Version": f"{word} {text}", **({older: text} if older else {})}
