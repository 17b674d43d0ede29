"""The sizes of local VMs: a small table, extended or replaced by the cloud's setting `flavors`.

`disk_gib` 0 means the image's own size. All others of the table have the same disk, which costs nothing before it is
written, so that any of them can be resized to any other: a disk never shrinks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cloudms.errors import ConfigError, Invalid, NotFound
from cloudms.model import Flavor

BUILT_IN: Mapping[str, tuple[int, int, int]] = {
    "tiny": (1, 256, 0),
    "small": (1, 512, 10),
    "medium": (1, 1024, 10),
    "large": (2, 2048, 10),
    "xlarge": (4, 4096, 10),
}
"""Name → vCPUs, memory in MiB, disk in GiB."""

_FIELDS = ("vcpus", "memory_mib", "disk_gib")


def table(cloud: str, options: Mapping[str, Any]) -> dict[str, Flavor]:
    """Return every flavor by name. Raises: ConfigError (a flavor of the settings is malformed)."""
    sizes: dict[str, Any] = {name: dict(zip(_FIELDS, size, strict=True)) for name, size in BUILT_IN.items()}
    sizes.update(options.get("flavors") or {})
    return {name: _flavor(cloud, name, size) for name, size in sizes.items()}


def find(flavors: Mapping[str, Flavor], name: str) -> Flavor:
    """Return the flavor `name`. Raises: NotFound."""
    if name in flavors:
        return flavors[name]
    raise NotFound(f"no flavor '{name}'", hint=f"choose one of {', '.join(flavors)}")


def for_image(flavors: Mapping[str, Flavor], name: str, image: str, min_memory_mib: int) -> Flavor:
    """Return the flavor `name`, or without a name the smallest one with enough memory for the image.

    Raises: NotFound, Invalid (the named flavor has less memory than the image needs, in MiB).
    """
    fitting = smallest(flavors.values(), min_memory_mib)
    chosen = find(flavors, name) if name else fitting
    if chosen is None or chosen.memory_mib < min_memory_mib:
        has = f", '{name}' has {chosen.memory_mib}" if chosen else ""
        raise Invalid(
            f"image '{image}' needs {min_memory_mib} MiB of memory{has}",
            hint=f"choose the flavor {fitting.name} or a larger one" if fitting else "add a flavor with more memory",
        )
    return chosen


def smallest(flavors: Iterable[Flavor], min_memory_mib: int) -> Flavor | None:
    """Return the smallest flavor with at least this memory in MiB, or None."""
    fitting = [flavor for flavor in flavors if flavor.memory_mib >= min_memory_mib]
    return min(fitting, key=lambda flavor: (flavor.memory_mib, flavor.vcpus), default=None)


def _flavor(cloud: str, name: str, size: Any) -> Flavor:
    try:
        values = {field: int(size.get(field, 0)) for field in _FIELDS}
    except (AttributeError, TypeError, ValueError):
        values = {}
    if values.get("vcpus", 0) < 1 or values.get("memory_mib", 0) < 64 or values.get("disk_gib", 0) < 0:
        raise ConfigError(
            f"flavor '{name}' of cloud '{cloud}' is malformed",
            hint="give it vcpus (1 or more), memory_mib (64 or more) and disk_gib (0: the image's own size)",
        )
    vcpus, memory, disk = (values[field] for field in _FIELDS)
    return Flavor(name=name, cloud=cloud, id=name, vcpus=vcpus, memory_mib=memory, disk_gib=disk, price_per_hour=0.0)
