"""The AWS cloud: every part of it in one class.

Settings (`options`): regions (list, or `all`), endpoint (a URL, or one per service), profile, max_retries,
connect_timeout and read_timeout (seconds), instance_profile, subnet, security_group, imds (required, optional),
encrypted, spot, hibernate, owners (of images), walkers, flavors (names and patterns that are listed). A VM's own
`options`: spot, open (ports), secgroups, hibernate, login.
"""

from __future__ import annotations

from typing import ClassVar

from cloudms.clouds.aws.alter import Altering
from cloudms.clouds.aws.care import Caring
from cloudms.clouds.aws.history import Remembering
from cloudms.clouds.aws.images import Images
from cloudms.clouds.aws.keeping import Keeping
from cloudms.clouds.aws.keys import KeyKeeping
from cloudms.clouds.aws.leftovers import Sweeping
from cloudms.clouds.aws.listing import Listing
from cloudms.clouds.aws.locations import Placing
from cloudms.clouds.aws.power import Powering, cannot_hibernate
from cloudms.clouds.aws.prices import Pricing
from cloudms.clouds.aws.quotas import Limits
from cloudms.clouds.aws.secgroups import Grouping
from cloudms.clouds.aws.snapshots import Snapshotting
from cloudms.clouds.base import (
    Deallocate,
    Lease,
    Metrics,
    MetricsHistory,
    Power,
    Rebuild,
    Resize,
    Role,
    Save,
    Snapshots,
    Suspend,
)
from cloudms.model import Flavor, Image, Vm


class AwsCloud(
    Snapshotting,
    Keeping,
    Grouping,
    KeyKeeping,
    Placing,
    Pricing,
    Limits,
    Remembering,
    Sweeping,
    Altering,
    Powering,
    Caring,
    Listing,
    Images,
):
    """Virtual machines of Amazon EC2 and of what speaks like it."""

    ours_only: ClassVar[tuple[type[Role], ...]] = (Lease, Rebuild, Resize, Snapshots)

    def find_image(self, name: str, flavor: str = "", region: str = "") -> Image:
        """Return the AMI that an id, an alias, a name or a pattern means for a flavor. Raises: NotFound."""
        where = self.place_of(region)[0]
        return self.image_noun(self.image(where, name, flavor or self.default_flavor), where)

    def find_flavor(self, name: str, region: str = "") -> Flavor:
        """Return an instance type, of whatever generation. Raises: NotFound."""
        where = self.place_of(region)[0]
        return self.flavor(self.type_row(name, where), where)

    def supports(self, role: type[Role], vm: Vm | None = None) -> str:
        """Return why `role` is not possible (for this `vm`), or an empty string when it is."""
        missing = super().supports(role, vm)
        if missing or vm is None:
            return missing
        if role in (Power, Save, Suspend, Deallocate, Resize) and vm.raw.get("InstanceLifecycle") == "spot":
            return "a spot VM that is stopped does not come back: delete it"
        if role in (Metrics, MetricsHistory) and not self.link.settings.reachable("cloudwatch"):
            return "it is an EC2 of its own, without CloudWatch"
        if role in (Save, Suspend):
            return cannot_hibernate(vm.raw)
        return ""


__all__ = ["AwsCloud"]
