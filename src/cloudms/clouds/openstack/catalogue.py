"""Addresses and pages: where the catalog says that a service is, which versions it speaks, where a list goes on.

The catalog: https://docs.openstack.org/api-ref/identity/v3 (password authentication). Names of services:
https://service-types.openstack.org.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

TYPES: Mapping[str, tuple[str, ...]] = {
    "compute": ("compute", "compute_legacy"),
    "image": ("image",),
    "network": ("network",),
    "volume": ("block-storage", "block-store", "volumev3", "volume"),
    "identity": ("identity", "identityv3"),
}
"""What the catalog calls a service, the best name first."""
_VERSIONS = {"compute": "v2.1", "image": "v2", "network": "v2.0", "volume": "v3", "identity": "v3"}
_VERSION = re.compile(r"/v\d+(\.\d+)?(?=/|$)")


def url(catalog: Iterable[Mapping[str, Any]], service: str, region: str, interface: str) -> str:
    """Return the URL of a service in a region, or an empty string; an empty region takes the first there is."""
    for word in TYPES.get(service, (service,)):
        for entry in catalog:
            if entry.get("type") != word:
                continue
            for point in entry.get("endpoints") or ():
                if point.get("interface") == interface and (not region or region in _regions(point)):
                    return str(point.get("url") or "")
    return ""


def regions(catalog: Iterable[Mapping[str, Any]], interface: str) -> tuple[str, ...]:
    """Return the regions that have nova, in the order of their names."""
    points = [point for entry in catalog if entry.get("type") == "compute" for point in entry.get("endpoints") or ()]
    return tuple(sorted({name for point in points if point.get("interface") == interface for name in _regions(point)}))


def _regions(point: Mapping[str, Any]) -> set[str]:
    return {str(point[word]) for word in ("region_id", "region") if point.get(word)}


def versioned(address: str, service: str) -> str:
    """Return the URL of a service with the version of its interface, which not every catalog says."""
    plain = address.rstrip("/")
    version = _VERSIONS.get(service, "")
    path = urlsplit(plain).path
    if not version:
        return plain
    if not _VERSION.search(path):
        return f"{plain}/{version}"
    if service == "identity":
        return re.sub(r"/v2\.0$", "/v3", plain)
    if service == "compute" and re.search(r"/v2(?=/|$)", path):
        return re.sub(r"/v2(?=/|$)", "/v2.1", plain, count=1)  # the older one has no microversions
    return plain


def root(address: str) -> str:
    """Return the URL where a service tells its versions: up to the version, without a project."""
    parts = urlsplit(address)
    found = _VERSION.search(parts.path)
    path = parts.path[: found.end()] if found else parts.path
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", ""))


def span(told: Mapping[str, Any], major: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the oldest and the newest microversion that a service told of, (0, 0) where it knows none."""
    rows = told.get("versions") or [told.get("version")]
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping):
            least, most = number(row.get("min_version")), number(row.get("version") or row.get("max_version"))
            if most[0] == major:
                return least, most
    return (0, 0), (0, 0)


def number(text: Any) -> tuple[int, int]:
    """Return a version such as 2.96 as two numbers, (0, 0) when it is none."""
    found = re.fullmatch(r"(\d+)\.(\d+)", str(text or ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)


def pairs(query: Any) -> list[tuple[str, str]]:
    """Return a query as pairs: lists are repeated, truth is written as the services read it, None is left out."""
    items = query.items() if isinstance(query, Mapping) else query
    found: list[tuple[str, str]] = []
    for name, value in items:
        values = value if isinstance(value, list | tuple) else [value]
        found += [
            (name, str(each).lower() if isinstance(each, bool) else str(each)) for each in values if each is not None
        ]
    return found


def following(
    reply: Mapping[str, Any], key: str, rows: Sequence[Mapping[str, Any]], asked: Sequence[tuple[str, str]]
) -> str:
    """Return the address of the next page, of which only the query counts, or an empty string.

    Nova, neutron and cinder say `KEY_links`, glance `next`, keystone `links`; a full page without any of them goes on
    behind its last row.
    """
    for link in reply.get(f"{key}_links") or ():
        if link.get("rel") == "next":
            return str(link.get("href") or "")
    links = reply.get("links")
    after = reply.get("next") or (links.get("next") if isinstance(links, Mapping) else "")
    if after:
        return str(after)
    limit = dict(asked).get("limit", "")
    if not limit.isdigit() or not rows or len(rows) < int(limit) or not rows[-1].get("id"):
        return ""
    kept = [(name, value) for name, value in asked if name != "marker"]
    return f"?{urlencode([*kept, ('marker', str(rows[-1]['id']))])}"
