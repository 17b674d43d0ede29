"""What stands before the members: whether one answers, and the balancer that shares requests out, if there is one."""

from __future__ import annotations

import http.client
import socket

from cloudms.balancers.base import Balancer, Server
from cloudms.balancers.reach import where
from cloudms.balancers.settings import Settings
from cloudms.balancers.store import for_group
from cloudms.context import Context
from cloudms.errors import CloudmsError
from cloudms.model import Vm, VmState
from cloudms.scaling.spec import ScalingSpec

_PATIENCE = 1.0
"""Seconds that a member has to answer a check."""


class Front:
    """The balancer of a group, or nothing: a group without one is served by members that run."""

    def __init__(self, ctx: Context, group: str, spec: ScalingSpec) -> None:
        plain = {key: value for key, value in spec.balancer.items() if key != "kind"}
        self._settings = Settings.from_plain(plain)
        self._ctx = ctx
        self._group = group
        self._places: dict[tuple[str, tuple[str, ...]], tuple[str, int]] = {}
        self.balancer: Balancer | None = for_group(ctx, group, spec.balancer) if spec.balancer else None

    def up(self) -> None:
        """Start the balancer, or find it running. Raises: CloudmsError."""
        if self.balancer is not None:
            self.balancer.up()

    def revived(self) -> str:
        """Start the balancer again when it has died, and return a sentence about it; one that was ended stays so."""
        if self.balancer is None or not self._wanted:
            return ""
        try:
            if self.balancer.is_up:
                return ""
            self.balancer.up()
            if not self._wanted:  # it was not dead: somebody was ending it
                self.balancer.down()
                return ""
        except CloudmsError as error:
            return f"the balancer has died and does not start: {error.message}"
        return "the balancer had died, and was started again"

    @property
    def _wanted(self) -> bool:
        return self._ctx.catalog.get("balancer", self._group) is not None

    def answers(self, vm: Vm) -> bool:
        """Whether a member can serve: it answers its check, or where nothing is balanced, its cloud says nothing else.

        It is asked although its row still says that it sleeps: what answers is awake. Raises: CloudmsError.
        """
        if self.balancer is None or self._ctx.cloud_class(vm.cloud).simulated:
            return vm.state is VmState.RUNNING and not self._ctx.cloud(vm.cloud).ready(vm)
        host, port = self.place(vm)
        return asked(host, port, self._settings.check) if self._settings.check else connected(host, port)

    def place(self, vm: Vm) -> tuple[str, int]:
        """Return where a member is reached. Raises: NotReady (it has no address, or its port is not forwarded)."""
        known = (vm.key, (*vm.public_ips, *vm.private_ips))
        if known not in self._places:
            self._places[known] = where(self._ctx, vm, self._settings.member_port)
        return self._places[known]

    def servers(self) -> dict[str, Server] | None:
        """Return what the balancer says of each server, by name; None where there is none or it does not answer."""
        if self.balancer is None:
            return None
        try:
            return {server.name: server for server in self.balancer.servers()}
        except CloudmsError:
            return None

    def admit(self, vm: Vm) -> None:
        """Let a member have requests. Raises: CloudmsError."""
        if self.balancer is not None:
            self.balancer.add(vm.name, *self.place(vm))
            self.balancer.ready(vm.name)

    def drain(self, name: str) -> None:
        """Give a member no more requests; one that is not there is passed over."""
        if self.balancer is not None and name in (self.servers() or {}):
            self.balancer.drain(name)

    def remove(self, name: str) -> None:
        """Take a member out; one that is not there is passed over."""
        if self.balancer is not None and name in (self.servers() or {}):
            self.balancer.remove(name)

    def busy(self, name: str) -> int:
        """Return how many requests a member is at, or has waiting."""
        server = (self.servers() or {}).get(name)
        return server.sessions + server.queue if server is not None else 0


def asked(host: str, port: int, path: str) -> bool:
    """Whether a server answers a GET with a code below 400."""
    line = http.client.HTTPConnection(host, port, timeout=_PATIENCE)
    try:
        line.request("GET", path, headers={"Connection": "close"})
        return line.getresponse().status < 400
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        line.close()


def connected(host: str, port: int) -> bool:
    """Whether something accepts connections."""
    try:
        with socket.create_connection((host, port), timeout=_PATIENCE):
            return True
    except OSError:
        return False
