"""The OpenStack cloud: every part of it in one class.

Settings (`options`): cloud and clouds_yaml (whose words for signing in count), endpoint (URLs by service), region,
regions (list, or `all`), zone, interface, cacert, verify, connect_timeout and read_timeout (seconds), network,
floating_pool, security_group, boot_from_volume, volume_type, config_drive, server_group, flavors, prices, currency. A
VM's own `options`: open (ports), spread, login.
"""

from __future__ import annotations

from typing import ClassVar

from cloudms.clouds.base import ConfirmResize, Lease, Power, Reboot, Rebuild, Resize, Role, Save, Snapshots, Suspend
from cloudms.clouds.openstack.alter import Altering
from cloudms.clouds.openstack.care import Caring
from cloudms.clouds.openstack.leftovers import Sweeping
from cloudms.clouds.openstack.locations import Placing
from cloudms.clouds.openstack.metrics import Measuring
from cloudms.clouds.openstack.power import Powering
from cloudms.clouds.openstack.quotas import Limits
from cloudms.model import Vm

LOCKED = (ConfirmResize, Lease, Power, Reboot, Rebuild, Resize, Save, Suspend)


class OpenStackCloud(Altering, Caring, Sweeping, Placing, Measuring, Limits, Powering):
    """Virtual machines of an OpenStack, in one project of it."""

    ours_only: ClassVar[tuple[type[Role], ...]] = (Lease, Rebuild, Snapshots)

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        if missing or vm is None:
            return missing
        if role in LOCKED and vm.raw.get("locked"):
            return f"somebody has locked it: openstack server unlock {vm.id}"
        return ""


__all__ = ["OpenStackCloud"]
