"""The way to AWS: one session, a client per service and region, errors as the house's, pages to their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from cloudms import __version__
from cloudms.clock import Clock
from cloudms.clouds.aws import settings as reading
from cloudms.clouds.aws.errors import WAYS, mapped, unreadable
from cloudms.clouds.aws.settings import ALL, Settings
from cloudms.clouds.base import Setup
from cloudms.clouds.regions import each
from cloudms.errors import Denied, Invalid, MissingExtra, NotFound
from cloudms.names import nearest

T = TypeVar("T")

_CONNECTIONS = 24
"""Connections a client keeps: as many as the engine may have calls in flight, with room for regions."""


def sdk() -> Any:
    """Import boto3 when it is first needed. Raises: MissingExtra."""
    try:
        import boto3
        import boto3.session
    except ImportError:
        raise MissingExtra("aws", why="a cloud of kind aws") from None
    return boto3


class Link:
    """Session and clients of one cloud, made when first needed, usable from several threads at once.

    botocore itself retries little (`max_retries`, in its adaptive mode, which also slows down when throttled): the
    guards around every cloud retry what is left, with pauses that all threads keep.
    """

    def __init__(self, setup: Setup, clock: Clock) -> None:
        self.setup = setup
        self.clock = clock
        self._lock = threading.RLock()
        self._session: Any = None
        self._settings: Settings | None = None
        self._clients: dict[tuple[str, str, bool], Any] = {}
        self._every: tuple[str, ...] = ()

    @property
    def settings(self) -> Settings:
        """Return the settings, read once. Raises: Invalid, Denied."""
        with self._lock:
            if self._settings is None:
                self._settings = reading.read(self.setup, self.setup.credentials())
            return self._settings

    @property
    def region(self) -> str:
        """Return the home region: where new things go. Raises: Invalid (nothing says which)."""
        found = self.settings.region or (self.settings.regions or ("",))[0].replace(ALL, "")
        found = found or str(self.session().region_name or "")
        if not found:
            raise Invalid(
                f"cloud '{self.setup.name}' has no region",
                hint="set location under default of this cloud, AWS_REGION, or region in ~/.aws/config",
            )
        return found

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions that are listed, the home region first. Raises: Invalid."""
        wanted = self.settings.regions
        if ALL in wanted:
            wanted = self._all()
        return tuple(dict.fromkeys((self.region, *wanted)))

    def check_region(self, region: str) -> str:
        """Return a region that the account may use; those of the settings are believed. Raises: NotFound."""
        if region not in (self.region, *self.settings.regions) and region not in self._all():
            close = nearest(region, self._all())
            raise NotFound(
                f"AWS has no region {region!a} for this account",
                hint=f"did you mean {close}" if close else "cms location list shows the places in use",
            )
        return region

    def _all(self) -> tuple[str, ...]:
        """Return every region that the account may use, asked once."""
        if not self._every:
            reply = self.call("describe_regions", AllRegions=False)
            self._every = tuple(sorted(row["RegionName"] for row in reply.get("Regions", ())))
        return self._every

    def session(self) -> Any:
        """Return boto3's session, made once. Raises: MissingExtra, Denied (no credentials anywhere)."""
        with self._lock:
            if self._session is None:
                self._session = self._open()
            return self._session

    def _open(self) -> Any:
        boto3, settings = sdk(), self.settings
        keys = reading.secrets(self.setup.credentials())
        from botocore.exceptions import BotoCoreError

        try:
            session = boto3.session.Session(
                aws_access_key_id=keys.access or None, aws_secret_access_key=keys.secret or None,
                aws_session_token=keys.token or None, region_name=settings.region or None,
                profile_name=None if keys.access else settings.profile or None,
            )  # fmt: skip
            if session.get_credentials() is None:
                raise Denied(f"cloud '{self.setup.name}' has no AWS credentials", hint=WAYS)
            session._session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=moment)
        except BotoCoreError as error:
            raise mapped(error, "sign in") from None
        return session

    def client(self, service: str, region: str = "", *, repeats: bool = True) -> Any:
        """Return boto3's client of a service in a region (the home region), made once; with `repeats`, botocore asks
        again when a request failed. Raises: Denied, Invalid.
        """
        where = region or self.region
        with self._lock:
            found = self._clients.get((service, where, repeats))
            if found is None:
                found = self._clients[service, where, repeats] = self._make(service, where, repeats=repeats)
            return found

    def _make(self, service: str, region: str, *, repeats: bool) -> Any:
        session, settings = self.session(), self.settings
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        config = Config(
            user_agent_extra=f"cloudms/{__version__}", connect_timeout=settings.connect_timeout or None,
            read_timeout=settings.read_timeout or None, max_pool_connections=_CONNECTIONS,
            retries={"mode": "adaptive", "total_max_attempts": 1 + settings.max_retries * repeats},
        )  # fmt: skip
        try:
            return session.client(
                service, region_name=region, endpoint_url=settings.endpoint(service) or None, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise mapped(error, service, region) from None

    def call(self, operation: str, region: str = "", service: str = "ec2", **params: Any) -> dict[str, Any]:
        """Call an operation in boto3's snake case and return its answer. Raises: any error of the house."""
        client = self.client(service, region)
        with _mapping(operation, client.meta.region_name):
            reply: dict[str, Any] = getattr(client, operation)(**params)
        return _meant(reply, operation, client.meta.region_name)

    def call_once(self, operation: str, region: str = "", **params: Any) -> dict[str, Any]:
        """Call an operation of EC2 that makes something and knows no client token: it is never repeated unseen, so that
        whoever calls can look first whether it was done. Raises: any error of the house.
        """
        client = self.client("ec2", region, repeats=False)
        with _mapping(operation, client.meta.region_name):
            reply: dict[str, Any] = getattr(client, operation)(**params)
        return _meant(reply, operation, client.meta.region_name)

    def pages(
        self, operation: str, key: str, region: str = "", service: str = "ec2", **params: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows under `key` of every page. Raises: any error of the house, after the rows that came."""
        client = self.client(service, region)
        where = client.meta.region_name
        if not client.can_paginate(operation):
            yield from self.call(operation, region, service, **params).get(key) or ()
            return
        with _mapping(operation, where):
            pages = iter(client.get_paginator(operation).paginate(**params))
        while True:
            with _mapping(operation, where):
                page = next(pages, None)
            if page is None:
                return
            yield from _meant(page, operation, where).get(key) or ()

    def each_region(self, do: Callable[[str], Iterable[T]]) -> Iterator[T]:
        """Yield what `do` returns for every region, asked in parallel; those that fail are raised after all rows.

        Raises: the error of the broken region, named; with several, that of the first with all of them named.
        """
        yield from each(self.regions, do)

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
            self._session = None
        for client in clients:
            client.close()


def moment(value: Any) -> Any:
    """Return a time that AWS told as botocore does; the form that EC2 writes is read thirty times as fast."""
    if isinstance(value, str) and value[10:11] == "T" and value.endswith("Z"):
        from datetime import datetime

        with suppress(ValueError):
            return datetime.fromisoformat(value)
    from botocore.parsers import DEFAULT_TIMESTAMP_PARSER

    return DEFAULT_TIMESTAMP_PARSER(value)


def _meant(reply: dict[str, Any], operation: str, region: str) -> dict[str, Any]:
    """Return an answer that AWS gave. Raises: NotReady (botocore found nothing in it, not even a request id: a page of
    something between here and AWS, and no empty list).
    """
    if set(reply) == {"ResponseMetadata"} and not reply["ResponseMetadata"].get("RequestId"):
        raise unreadable(operation, region)
    return reply


class _mapping:  # noqa: N801 (reads as a word of the language)
    """Turn what botocore raises inside into the house's errors."""

    def __init__(self, operation: str, region: str) -> None:
        self.operation, self.region = operation, region

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: Any, error: BaseException | None, trace: Any) -> None:
        """Raise the house's error instead of botocore's or urllib3's; all others pass."""
        if not isinstance(error, Exception):
            return
        if type(error).__module__.startswith(("botocore", "boto3", "urllib3")):
            raise mapped(error, self.operation, self.region) from None
        if _while_reading(trace):
            raise unreadable(self.operation, self.region) from None


def _while_reading(trace: Any) -> bool:
    """Whether an error comes out of botocore's parsers: they take a well-formed answer for the one that they expect."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__") == "botocore.parsers"
