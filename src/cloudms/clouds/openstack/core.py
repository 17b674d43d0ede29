"""What every part of the OpenStack cloud stands on: the way there, finding a server, and describing it as a noun."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from cloudms.clouds import notes
from cloudms.clouds.base import Cloud, Setup
from cloudms.clouds.openstack import describe, tags
from cloudms.clouds.openstack.link import Link
from cloudms.clouds.openstack.settings import place
from cloudms.clouds.view import View, origin_of, view_of
from cloudms.errors import CloudmsError, Conflict, Invalid, NotFound, NotReady
from cloudms.model import Origin, Vm, VmState

_SETTLE = "wait until it has settled: cms vm list"
_CONFIRMS_S = 120.0
"""Seconds for which a resize that was confirmed is expected to end."""
TAGGED = (2, 52)
"""The microversion of nova since which a server can be made with tags, by which it is found again."""


class Core(Cloud):
    """The way to OpenStack, and from a noun to a server and back."""

    kind: ClassVar[str] = "openstack"
    extra: ClassVar[str] = "openstack"
    width: ClassVar[int] = 16
    default_wait: ClassVar[str] = "running"
    costs_money: ClassVar[bool] = True

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.link = Link(setup, self.clock)
        self._confirmed: dict[str, float] = {}

    def close(self) -> None:
        """Give the connections back."""
        self.link.close()

    @property
    def view(self) -> View:
        """Return who looks, now."""
        return view_of(self.name, self.setup.owner, self.clock.now(), self.setup.default)

    def noun(self, row: Mapping[str, Any], region: str) -> Vm:
        """Return the noun of a server as nova described it; nova does not tell that a resize is being confirmed."""
        found = describe.vm(row, region, self.view)
        confirmed = self._confirmed.get(found.id)
        if confirmed is None:
            return found
        if found.state is not VmState.AWAITING_CONFIRM or self.clock.monotonic() - confirmed > _CONFIRMS_S:
            self._confirmed.pop(found.id, None)
            return found
        return found.with_(state=VmState.RESIZING, reason="its old place is being given back", resized_from="")

    def servers(self, region: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the servers of the project in a region; `query` narrows the list."""
        return self.link.pages("compute", "/servers/detail", "servers", region, **query)

    def server(self, ident: str, region: str) -> dict[str, Any]:
        """Return a server by its id. Raises: NotFound."""
        try:
            reply = self.link.get("compute", f"/servers/{quote(ident, safe='')}", region)
        except Invalid as error:
            raise NotFound(f"there is no vm '{ident}' in {region}", details=error.details) from None
        row: dict[str, Any] = reply.get("server") or {}
        if row.get("id") != ident:
            raise NotFound(f"there is no vm '{ident}' in {region}")
        return row

    def find(self, vm: Vm) -> tuple[dict[str, Any], str]:
        """Return the server of `vm`, by id or else token, and its region. Raises: NotFound."""
        failed: CloudmsError | None = None
        for region in self.places(vm):
            try:
                row = self.server(vm.id, region) if vm.id else self._first(vm.token, region)
            except NotFound:
                continue
            except CloudmsError as error:
                failed = failed or error
                continue
            return row, region
        if failed is not None:
            raise failed
        raise NotFound(f"vm '{vm.name}' is not on cloud '{self.name}'", details={"vm": vm.name})

    def places(self, vm: Vm) -> tuple[str, ...]:
        """Return the regions where `vm` may be: its own when it is known, none when the cloud has no such region."""
        region = place(vm.region)[0]
        if not region:
            return self.link.regions
        return (region,) if region in (*self.link.regions, *self.link.every_region()) else ()

    def _first(self, token: str, region: str) -> dict[str, Any]:
        rows = self.with_token(token, region)
        if not rows:
            raise NotFound(f"no vm with this token is in {region}")
        return rows[0]

    def with_token(self, token: str, region: str) -> list[dict[str, Any]]:
        """Return the servers that carry a token, the living before those that are gone, the oldest first."""
        return self.sorted_rows(row for row in self.of_request(token, region) if tags.of(row).token == token)

    def sorted_rows(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return servers in their order: the living before those that are gone, the oldest first."""
        return sorted(rows, key=lambda row: (describe.is_gone(row), str(row.get("created")), str(row.get("id"))))

    def of_request(self, token: str, region: str) -> list[dict[str, Any]]:
        """Return the servers of the request that a token is of."""
        base = notes.base_token(token)[0]
        if not base:
            return []
        narrow = {"tags": tags.tag(token)} if self.link.version("compute", region) >= TAGGED else {}
        return [row for row in self.servers(region, **narrow) if tags.plain(row).get(notes.TOKEN) in (base, token)]

    def demand(self, row: Mapping[str, Any], allowed: frozenset[VmState], action: str) -> VmState:
        """Return the state of a server when `action` is possible in it.

        Raises: NotFound (it is deleted), Conflict (being deleted), NotReady (any other state; `details` names it).
        """
        vm = self.noun(row, "")
        details = {"vm": vm.name, "state": str(vm.state)}
        if vm.state in allowed:
            return vm.state
        if vm.state is VmState.TERMINATED:
            raise NotFound(f"vm '{vm.name}' is deleted and cannot {action}", details=details)
        if vm.state is VmState.TERMINATING:
            raise Conflict(f"vm '{vm.name}' is being deleted", details=details)
        hint = f"it must be {' or '.join(sorted(allowed))}"
        raise NotReady(f"vm '{vm.name}' is {vm.state}: cannot {action}", hint=hint, details=details)

    def act(self, row: Mapping[str, Any], region: str, action: Mapping[str, Any]) -> dict[str, Any]:
        """Let nova do something to a server
        (https://docs.openstack.org/api-ref/compute/#servers-run-an-action-servers-action).

        Raises: any error of the house.
        """
        return self.link.post("compute", f"/servers/{row['id']}/action", dict(action), region)

    def go(
        self, row: dict[str, Any], region: str, action: Mapping[str, Any], *, task: str, what: str,
        fine: frozenset[VmState] = frozenset(),
    ) -> Vm:  # fmt: skip
        """Let nova bring a server into another state.

        Parameters: `task`, what nova is at from then on; `what`, the word for it; `fine`, states in which it is done.
        Returns the VM as it is on the way. Raises: NotReady (nova is at something else), Conflict (locked).
        """
        try:
            self.act(row, region, action)
        except Conflict as error:
            if "locked" in error.message:
                hint = f"openstack server unlock {row['id']}"
                raise Conflict(error.message, hint=hint, details=error.details) from None
            now = self.server(str(row["id"]), region)
            if self.demand(now, frozenset(VmState), what) in fine:
                return self.noun(now, region)
            vm = self.noun(now, region)
            busy = now.get("OS-EXT-STS:task_state") or vm.state
            details = {**error.details, "vm": vm.name, "state": str(vm.state)}
            if now.get("OS-EXT-STS:task_state"):
                del details["state"]  # it ends by itself
            raise NotReady(f"vm '{vm.name}' is {busy}: cannot {what}", hint=_SETTLE, details=details) from None
        return self.noun({**row, "OS-EXT-STS:task_state": task}, region)

    def put_tags(
        self, row: dict[str, Any], region: str, pairs: Mapping[str, str], drop: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Put metadata on a server and take others away, where that changes something; return it with them."""
        path, old = f"/servers/{row['id']}/metadata", tags.plain(row)
        fresh = {key: value for key, value in pairs.items() if old.get(key) != value}
        gone = [key for key in dict.fromkeys(drop) if key in old and key not in pairs]
        kept = {key: value for key, value in old.items() if key not in gone} | fresh
        if len(gone) > 1:  # one request for all; what another process wrote in between is lost with it
            self.link.put("compute", path, {"metadata": kept}, region)
        elif gone or fresh:
            if fresh:
                self.link.post("compute", path, {"metadata": fresh}, region)
            for key in gone:
                self._forget(f"{path}/{quote(key, safe='')}", region)
        return {**row, "metadata": kept}

    def _forget(self, path: str, region: str) -> None:
        try:
            self.link.delete("compute", path, region)
        except NotFound:
            return

    def own(self, row: Mapping[str, Any], action: str) -> tags.Tags:
        """Return the metadata of a server that is in our care. Raises: Conflict (made by somebody else)."""
        found = tags.of(row)
        if origin_of(found, self.setup.owner) is Origin.FOREIGN:
            whose = f"belongs to {found.owner}" if found.owner else "was made elsewhere"
            name = found.name or row.get("id", "?")
            raise Conflict(f"vm '{name}' {whose} and will not be {action}", hint=f"cms vm adopt {name}")
        return found
