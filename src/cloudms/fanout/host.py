"""Where an action goes: a host as SSH needs to know it, and how a VM becomes one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from cloudms import ssh
from cloudms.errors import CloudmsError
from cloudms.model import Vm
from cloudms.record import Record


class Host(Record):
    """One host.

    `vm` is the catalog key of its VM; `alias` the name under which its host key is pinned (empty: the person's own
    ~/.ssh/known_hosts, under its address); `jump` the hosts that the connection goes through, the first one first;
    `simulated` that nothing is there, and what would run is answered instead.
    """

    name: str
    cloud: str = ""
    vm: str = ""
    address: str = ""
    port: int = 22
    login: str = "root"
    key_file: str = ""
    alias: str = ""
    jump: tuple[Host, ...] = ()
    simulated: bool = False

    @property
    def key(self) -> str:
        """Return what a kept connection is found by: the same host somewhere else is another connection."""
        through = "".join(f"{each.key}>" for each in self.jump)
        return f"{through}{self.login}@{self.address}:{self.port}/{self.alias}"


class _Context(Protocol):
    """What is asked of the context."""

    config: Any
    catalog: Any

    def cloud_class(self, name: str) -> Any:
        """Return the class of a configured cloud."""

    def warn(self, text: str) -> None:
        """Tell of something that is not as it should be."""


def hosts_of(ctx: Any, vms: Iterable[Vm]) -> list[Host]:
    """Return the hosts of VMs, in their order; one without an address is a host that cannot be reached.

    Parameters: `ctx`, whose configuration says of a cloud by `jump` which bastions lead into it.
    """
    about: dict[str, tuple[bool, tuple[Host, ...]]] = {}
    found = []
    for vm in vms:
        if vm.cloud not in about:
            about[vm.cloud] = _about(ctx, vm.cloud)
        simulated, jump = about[vm.cloud]
        leads = any(each.vm == vm.key for each in jump)  # the bastion itself is reached as it stands
        found.append(_host(vm, () if leads else jump, simulated=simulated))
    return found


def _host(vm: Vm, jump: tuple[Host, ...] = (), *, simulated: bool = False) -> Host:
    return Host(
        name=vm.name,
        cloud=vm.cloud,
        vm=vm.key,
        address=vm.ssh_host,
        port=vm.ssh_port,
        login=vm.login or "root",
        key_file=vm.ssh_key,
        alias=ssh.alias(vm),
        jump=jump,
        simulated=simulated,
    )


def _about(ctx: _Context, cloud: str) -> tuple[bool, tuple[Host, ...]]:
    """Return whether a cloud is simulated, and what leads into it; a bastion may be a VM, by its name."""
    try:
        settings = ctx.config.cloud(cloud)
        simulated = bool(ctx.cloud_class(cloud).simulated)
    except CloudmsError as error:
        ctx.warn(f"cloud '{cloud}': {error.message}")
        return False, ()
    found = []
    for each in jumps(str(settings.option("jump") or "")):
        rows = ctx.catalog.find("vm", name=each.name, limit=1)
        found.append(_host(Vm.from_document(rows[0].document)) if rows else each)
    return simulated, tuple(found)


def jumps(text: str) -> tuple[Host, ...]:
    """Return the hosts of `[USER@]HOST[:PORT][,…]`, as ProxyJump of ssh_config(5) has them; `none` is none."""
    if text.strip().lower() == "none":
        return ()
    return tuple(_jump(word.strip().removeprefix("ssh://")) for word in text.split(",") if word.strip())


def _jump(word: str) -> Host:
    login, _, place = word.rpartition("@")
    address, port = place, ""
    if place.startswith("["):
        address, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        address, _, port = place.partition(":")
    return Host(name=word, address=address, port=int(port) if port.isdigit() else 0, login=login)
