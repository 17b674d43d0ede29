"""Places where VMs can stand: regions, zones, hosts."""

from __future__ import annotations

from collections.abc import Iterable

from cloudms.clouds.base import Locations
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import browse
from cloudms.model import Location, Noun
from cloudms.verb import verb
from cloudms.verbs.lists import Cached, CloudName, Refresh


@verb("location", "list", columns=Location.columns, example="cms location list --cloud fake")
def list_(ctx: Context, *, cloud: CloudName = None, cached: Cached = False, refresh: Refresh = False) -> Listing:
    """List the regions, zones or hosts of the clouds that have more than one."""
    return browse(ctx, "location", _locations_of, cloud=cloud or "", role=Locations, cached=cached, refresh=refresh)


@verb("location", "refresh", columns=Location.columns, example="cms location refresh --cloud fake")
def refresh_(ctx: Context, *, cloud: CloudName = None) -> Listing:
    """Ask the clouds where VMs can stand, bring the catalog up to date and list the places."""
    listing: Listing = list_(ctx, cloud=cloud, refresh=True)
    return listing


def _locations_of(opened: Locations) -> Iterable[Noun]:
    return opened.list_locations()
