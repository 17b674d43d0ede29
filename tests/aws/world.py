"""What the pretended AWS knows beside moto's records: settings, transitions under way, tokens, pages, calls."""

from __future__ import annotations

import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any
from zlib import crc32

from tests.aws.faults import Fault
from tests.aws.wire import Call, Refused

ACCOUNT = "123456789012"
CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}


@dataclass
class Settings:
    """How it behaves.

    Seconds: `boot_seconds` pending, `stop_seconds` stopping, `delete_seconds` shutting down, `linger_seconds` until a
    terminated instance is forgotten, `visible_seconds` until a new instance appears in lists (EC2 is eventually
    consistent). `capacity` is how many more instances there is room for (None: any), `access_key` the only one that is
    accepted (empty: any), `replace_root` what CreateReplaceRootVolumeTask does (done, refuse).
    """

    boot_seconds: float = 0.0
    stop_seconds: float = 0.0
    delete_seconds: float = 0.0
    linger_seconds: float = 3600.0
    visible_seconds: float = 0.0
    capacity: int | None = None
    access_key: str = ""
    replace_root: str = "done"

    def update(self, values: dict[str, Any]) -> None:
        """Change the named settings. Raises: ValueError."""
        known = {each.name for each in fields(self)}
        if values.keys() - known:
            raise ValueError(f"no setting {', '.join(sorted(values.keys() - known))}: {', '.join(sorted(known))}")
        self.__dict__.update(values)


@dataclass
class Token:
    """What a client token stands for: the request it came with, and what it made."""

    request: frozenset[tuple[str, str]]
    body: bytes
    made: list[Any]


@dataclass
class World:
    """All of it; `lock` is held while a call is carried out, since moto is not safe for threads."""

    settings: Settings = field(default_factory=Settings)
    defaults: Settings = field(default_factory=Settings)
    faults: list[Fault] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[tuple[str, str, str], Token] = field(default_factory=dict)
    pages: dict[str, tuple[str, list[ET.Element]]] = field(default_factory=dict)
    whole: dict[object, bytes] = field(default_factory=dict)
    tasks: list[dict[str, str]] = field(default_factory=list)
    measured: set[tuple[str, int]] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _due: dict[str, tuple[float, Any, str]] = field(default_factory=dict)
    _hidden: list[tuple[float, Any, list[Any]]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """Forget everything, moto's records included."""
        from moto.moto_api._internal.models import moto_api_backend

        with self.lock:
            moto_api_backend.reset()
            for each in (self.faults, self.calls, self.tokens, self.pages, self.tasks, self._due, self._hidden):
                each.clear()
            self._seen.clear()
            self.measured.clear()
            self.settings = Settings(**self.defaults.__dict__)

    def backend(self, region: str) -> Any:
        """Return moto's records of a region, made ready when it is first asked for. Raises: Refused."""
        from moto.ec2.models import ec2_backends

        try:
            backend = ec2_backends[ACCOUNT][region]
        except KeyError:
            raise Refused("AuthFailure", f"AWS knows no region {region}", 401) from None
        if region not in self._seen:
            self._seen.add(region)
            _furnish(backend, region)
        return backend

    def seen_regions(self) -> list[str]:
        """Return the regions that were asked for."""
        return sorted(self._seen)

    def instance(self, call: Call, instance_id: str) -> Any:
        """Return an instance of the call's region. Raises: Refused."""
        found = self.backend(call.region).get_instance_by_id(instance_id)
        if found is None:
            raise Refused("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        return found

    def transit(self, instance: Any, through: str, to: str, seconds: float) -> None:
        """Let an instance be `through` for some seconds and then `to`."""
        _put(instance, through if seconds > 0 else to)
        self._due[instance.id] = (time.monotonic() + seconds, instance, to)

    def hide(self, backend: Any, instances: list[Any]) -> None:
        """Let new instances appear in lists only later."""
        if self.settings.visible_seconds <= 0:
            return
        wanted = {id(each) for each in instances}
        for reservation in backend.reservations.values():
            if any(id(each) in wanted for each in reservation.instances):
                self._hidden.append(
                    (time.monotonic() + self.settings.visible_seconds, reservation, reservation.instances)
                )
                reservation.instances = []

    def settle(self) -> None:
        """Carry out the transitions that are due."""
        now = time.monotonic()
        for when, reservation, instances in list(self._hidden):
            if now >= when:
                reservation.instances = instances
        self._hidden = [each for each in self._hidden if now < each[0]]
        for key, (when, instance, to) in list(self._due.items()):
            if now < when:
                continue
            del self._due[key]
            if to == "gone":
                _forget(instance)
            else:
                _put(instance, to)
                if to == "terminated":
                    self._due[key] = (when + self.settings.linger_seconds, instance, "gone")

    def everything(self) -> Iterator[dict[str, Any]]:
        """Yield each thing of every region that a person can make, with its tags."""
        for region in self.seen_regions():
            yield from _things(self.backend(region), region)


def _put(instance: Any, state: str) -> None:
    instance._state.name, instance._state.code = state, CODES[state]


def _forget(instance: Any) -> None:
    for reservation in instance.ec2_backend.reservations.values():
        if instance in reservation.instances:
            reservation.instances.remove(instance)


def _furnish(backend: Any, region: str) -> None:
    """Give every region image ids of its own, and take away the volumes that moto makes with its images."""
    backend.volumes.clear()
    if region == "us-east-1":
        return
    for ami in list(backend.amis.values()):
        del backend.amis[ami.id]
        ami.id = regional(ami.id, region)
        backend.amis[ami.id] = ami


def regional(ami: str, region: str) -> str:
    """Return the id of an image in a region; the short ones of old are left as they are."""
    if region == "us-east-1" or len(ami) < 16:
        return ami
    return f"ami-{crc32(region.encode()):08x}{ami.removeprefix('ami-')[-9:]}"


def _things(backend: Any, region: str) -> Iterator[dict[str, Any]]:
    for kind, thing_id, thing, more in (*_machines(backend), *_disks(backend), *_others(backend)):
        tags = {tag["key"]: tag["value"] for tag in thing.get_tags()}
        yield {"kind": kind, "id": thing_id, "region": region, "tags": tags, **more}


Row = tuple[str, str, Any, dict[str, Any]]


def _machines(backend: Any) -> Iterator[Row]:
    for each in backend.all_instances():
        more = {"state": each.state, "type": each.instance_type, "token": each.client_token, "image": each.image_id}
        yield "instance", each.id, each, more


def _disks(backend: Any) -> Iterator[Row]:
    for each in backend.volumes.values():
        yield "volume", each.id, each, {"instance": each.attachment.instance.id if each.attachment else ""}
    for each in backend.snapshots.values():
        if each.owner_id == ACCOUNT:
            yield "snapshot", each.id, each, {"image": each.from_ami or ""}
    for each in backend.amis.values():
        if each.owner_id == ACCOUNT:
            yield "image", each.id, each, {"name": each.name}


def _others(backend: Any) -> Iterator[Row]:
    for each in backend.key_pairs.values():
        yield "key", each.id, each, {"name": each.key_name}
    for each in backend.addresses:
        yield "address", each.allocation_id or each.public_ip, each, {"name": each.public_ip}
    for groups in backend.groups.values():
        for each in groups.values():
            if each.name != "default":
                yield "group", each.id, each, {"name": each.name}
