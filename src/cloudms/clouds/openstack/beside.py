"""What the things beside the VMs have in common: made once, waited for shortly, and told by the name of their VM."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from cloudms.clouds.openstack.core import Core
from cloudms.clouds.openstack.errors import unclear
from cloudms.clouds.openstack.settings import place
from cloudms.errors import CloudmsError, Conflict, NotFound, NotReady

T = TypeVar("T")

Row = Mapping[str, Any]

SETTLES_S = 30.0
"""Seconds that a thing is waited for which OpenStack makes or takes away in the background."""
_PAUSE_S = 0.5
_FEW = 4
"""So many VMs are asked for one by one; of more, all are listed."""


class Beside(Core):
    """Helpers of the things beside the VMs."""

    def made_once(self, look: Callable[[], T | None], make: Callable[[], T]) -> T:
        """Return what is there already, else what `make` makes; a lost answer is no reason to make it again."""
        there = look()
        if there is not None:
            return there
        try:
            return make()
        except CloudmsError as error:
            if not unclear(error):
                raise
            there = look()
            if there is None:
                raise
            return there

    def when_free(self, ask: Callable[[], T]) -> T:
        """Return what a request about a VM is answered with. Raises: NotReady (Nova is at something else with it)."""
        try:
            return ask()
        except Conflict as error:
            if "task_state" not in error.message:
                raise
            raise NotReady(error.message, hint="try again when it has ended", details=error.details) from None

    def until(self, ask: Callable[[], T], done: Callable[[T], bool], patience: float = SETTLES_S) -> T:
        """Return what `ask` answers when it is `done`, or its last answer when patience has ended."""
        deadline = self.clock.monotonic() + patience
        while True:
            answer = ask()
            if done(answer) or self.clock.monotonic() > deadline:
                return answer
            self.clock.sleep(_PAUSE_S)

    def drop(self, service: str, path: str, region: str) -> None:
        """Delete something; already gone is success."""
        try:
            self.link.delete(service, path, region)
        except NotFound:
            return

    def vm_names(self, ids: Collection[str], region: str) -> dict[str, str]:
        """Return the names of VMs by id; those that are gone are left out."""
        wanted = set(filter(None, ids))
        if len(wanted) > _FEW:
            rows = self.link.pages("compute", "/servers", "servers", region, limit=1000)
            return {str(row["id"]): str(row.get("name") or row["id"]) for row in rows if row.get("id") in wanted}
        found: dict[str, str] = {}
        for ident in sorted(wanted):
            try:
                row = self.link.get("compute", f"/servers/{ident}", region).get("server") or {}
            except NotFound:
                continue
            found[ident] = str(row.get("name") or ident)
        return found

    def ours(self) -> dict[str, str]:
        """Return the filter of Neutron's lists for what is the project's own: an administrator is shown all of it."""
        project = self.link.project
        return {"project_id": project} if project else {}

    def regions_of(self, region: str, service: str = "compute") -> tuple[str, ...]:
        """Return the regions where a thing may be: its own when it is known, else all that are looked at.

        Parameters: `service`, the one that has it; regions without it are left out when another has it.
        """
        if not region:
            return tuple(each for each in self.link.regions if self.link.has(service, each)) or self.link.regions
        return (region,) if region in (*self.link.regions, *self.link.every_region()) else ()

    def new_place(self, wanted: str) -> tuple[str, str]:
        """Return region and zone (or an empty string) of a new thing. Raises: NotFound.

        A region that is not looked at is refused: what is made there would not be listed.
        """
        region, zone = place(wanted)
        if not region:
            return self.link.region, zone
        if region not in self.link.regions:
            self.link.check_region(region)
            raise NotFound(
                f"cloud '{self.name}' does not look at {region}", hint="the setting regions says which it looks at"
            )
        return region, zone
