"""The libvirt cloud: every part of it in one class.

Settings (`options`): uri; accel (auto, kvm, tcg); flavors {name: {vcpus, memory_mib, disk_gib}}; ports {host: guest}
forwarded for every VM beside SSH; pool and pool_path; forward_address (where forwards are reached when not on a
loopback address); machine (q35). A VM's own `options`: ports, firmware (bios, uefi), machine, login.
"""

from __future__ import annotations

from cloudms.clouds.base import CloneVm, Rebuild, Rename, Resize, Role, Snapshots
from cloudms.clouds.libvirt.addressing import Addressing
from cloudms.clouds.libvirt.care import Caring
from cloudms.clouds.libvirt.lifecycle import Lifecycle
from cloudms.clouds.libvirt.power import Powering
from cloudms.clouds.libvirt.sizing import Sizing
from cloudms.clouds.libvirt.snapshots import Snapshotting
from cloudms.clouds.libvirt.volumes import Storing
from cloudms.clouds.libvirt.watching import Watching
from cloudms.model import Origin, Vm

OURS_ONLY = (CloneVm, Rebuild, Rename, Resize, Snapshots)


class LibvirtCloud(Lifecycle, Powering, Sizing, Snapshotting, Storing, Addressing, Watching, Caring):
    """Virtual machines of libvirt and QEMU."""

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        if missing or vm is None:
            return missing
        if role in OURS_ONLY and vm.origin is Origin.FOREIGN:
            return f"it was made elsewhere: cms vm adopt {vm.name}"
        if role in (CloneVm, Rebuild, Snapshots) and vm.origin is Origin.ADOPTED and not vm.image:
            return "it was made elsewhere, and its disk is not touched"
        return ""


__all__ = ["LibvirtCloud"]
