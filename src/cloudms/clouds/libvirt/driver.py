"""The libvirt cloud: every part of it in one class.

Settings (`options`): uri; accel (auto, kvm, tcg); flavors {name: {vcpus, memory_mib, disk_gib}}; ports {host: guest}
forwarded for every VM beside SSH; pool and pool_path; forward_address (where forwards are reached when not on a
loopback address); machine (q35). A VM's own `options`: ports, open (forwarded to the same port), firmware (bios,
uefi), machine, login.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from cloudms.clouds.base import (
    AddressPool,
    CloneVm,
    ConfirmResize,
    Deallocate,
    OpenPorts,
    Rebuild,
    Rename,
    Resize,
    Role,
    Snapshots,
)
from cloudms.clouds.libvirt.addressing import Addressing
from cloudms.clouds.libvirt.care import Caring
from cloudms.clouds.libvirt.keeping import Keeping
from cloudms.clouds.libvirt.lease import Leasing
from cloudms.clouds.libvirt.lifecycle import Lifecycle
from cloudms.clouds.libvirt.power import Powering
from cloudms.clouds.libvirt.sizing import Sizing
from cloudms.clouds.libvirt.snapshots import Snapshotting
from cloudms.clouds.libvirt.watching import Watching
from cloudms.model import Origin, Vm


class LibvirtCloud(
    Keeping, Lifecycle, Powering, Sizing, Snapshotting, Addressing, Watching, Caring, Leasing, OpenPorts
):
    """Virtual machines of libvirt and QEMU."""

    ours_only: ClassVar[tuple[type[Role], ...]] = (CloneVm, Rebuild, Rename, Resize, Snapshots)
    lacks: ClassVar[Mapping[type[Role], str]] = {
        AddressPool: "its addresses are this machine's own, and free whenever no VM has them",
        ConfirmResize: "a resize holds at once",
        Deallocate: "a VM that is off takes no place but that of its disk: cms vm stop",
    }

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        if role is OpenPorts and not self.link.local:
            return "on another host its VMs share one address; cms vm ip set NAME --port HOST=GUEST forwards a port"
        if missing or vm is None:
            return missing
        if role in (CloneVm, Rebuild, Snapshots) and vm.origin is Origin.ADOPTED and not vm.image:
            return "it was made elsewhere, and its disk is not touched"
        return ""


__all__ = ["LibvirtCloud"]
