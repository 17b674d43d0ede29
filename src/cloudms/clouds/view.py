"""Who looks at a VM, and whose it is from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from cloudms.model import Origin, Vm, VmState
from cloudms.record import Record


class View(Record):
    """Who looks: the cloud's name, the `owner` of this catalog, the time, the `login` of the configuration."""

    cloud: str
    owner: str
    now: float
    login: str = ""


def view_of(cloud: str, owner: str, now: float, default: Mapping[str, Any]) -> View:
    """Return the view of a cloud with the section `default` of its settings."""
    login = str(default.get("login") or default.get("username") or "")
    return View(cloud=cloud, owner=owner, now=now, login=login)


class Marked(Protocol):
    """What cloudms has written on a VM, as far as it says whose the VM is."""

    @property
    def token(self) -> str:
        """Return the token of its creation, or of its adoption."""

    @property
    def owner(self) -> str:
        """Return the owner of the catalog that made it."""

    @property
    def adopted(self) -> bool:
        """Whether it was made elsewhere."""


def origin_of(mark: Marked | None, owner: str) -> Origin:
    """Return whose a VM is from the view of `owner`."""
    if mark is None or not mark.token or mark.owner != owner:
        return Origin.FOREIGN
    return Origin.ADOPTED if mark.adopted else Origin.OWN


def odd(name: str, region: str, view: View, error: Exception, raw: Mapping[str, Any]) -> Vm:
    """Return the noun of a VM whose description cannot be understood: it stays in every list."""
    reason = f"its description cannot be understood ({type(error).__name__}: {error})"
    return Vm(
        name=name, id=name, cloud=view.cloud, region=region, state=VmState.UNKNOWN, reason=reason, fetched=view.now,
        origin=Origin.FOREIGN, raw=raw,
    )  # fmt: skip
