"""A cloud with nothing beyond the required part."""

from __future__ import annotations

from collections.abc import Iterable

from cloudms.clouds.base import Cloud, Reach, Report, silent
from cloudms.errors import NoCapacity, NotFound
from cloudms.model import Flavor, Image, Vm, VmSpec


class PlainCloud(Cloud):
    """Offers one image and no room."""

    kind = "plain"

    def reach(self) -> Reach:
        """Answer."""
        return Reach(version="0")

    def list_vms(self) -> Iterable[Vm]:
        """Return nothing."""
        return ()

    def get_vm(self, vm: Vm) -> Vm:
        """Refuse."""
        raise NotFound(f"no VM {vm.name}")

    def create_vm(self, spec: VmSpec, report: Report = silent) -> Vm:
        """Refuse."""
        raise NoCapacity("there is no room")

    def delete_vm(self, vm: Vm) -> None:
        """Do nothing: it is gone."""

    def list_images(self) -> Iterable[Image]:
        """Return one image."""
        return [Image(name="only", cloud=self.name, id="1")]

    def list_flavors(self) -> Iterable[Flavor]:
        """Return nothing."""
        return ()
