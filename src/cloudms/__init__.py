"""cloudms: one way to run virtual machines on every cloud a person can reach.

    from cloudms import Cms

    cms = Cms(cloud="local")
    for vm in cms.vm.boot("micro", name="web", count=3).result():
        print(vm.name, vm.ssh_host)

Names are imported when they are first used, so that `import cloudms` costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from cloudms.api import Cms, Found, Handle
    from cloudms.config import Config, Counter
    from cloudms.engine.plan import Listing, Plan
    from cloudms.errors import (
        CloudmsError,
        ConfigError,
        Conflict,
        Denied,
        Exists,
        Interrupted,
        Invalid,
        MissingExtra,
        NoCapacity,
        NotFound,
        NotReady,
        Partial,
        Throttled,
        Timeout,
        Unsupported,
    )
    from cloudms.model import (
        Address,
        CloudInfo,
        Cost,
        Event,
        Experiment,
        Flavor,
        Group,
        Image,
        Key,
        Location,
        Node,
        Operation,
        OperationState,
        Origin,
        Quota,
        Snapshot,
        Step,
        Task,
        Vm,
        VmState,
        Volume,
    )

_HOMES = {
    "cloudms.api": ("Cms", "Found", "Handle"),
    "cloudms.config": ("Config", "Counter"),
    "cloudms.engine.plan": ("Listing", "Plan"),
    "cloudms.errors": (
        "CloudmsError", "ConfigError", "Conflict", "Denied", "Exists", "Interrupted", "Invalid", "MissingExtra",
        "NoCapacity", "NotFound", "NotReady", "Partial", "Throttled", "Timeout", "Unsupported",
    ),
    "cloudms.model": (
        "Address", "CloudInfo", "Cost", "Event", "Experiment", "Flavor", "Group", "Image", "Key", "Location", "Node",
        "Operation", "OperationState", "Origin", "Quota", "Snapshot", "Step", "Task", "Vm", "VmState", "Volume",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Address",
    "CloudInfo",
    "CloudmsError",
    "Cms",
    "Config",
    "ConfigError",
    "Conflict",
    "Cost",
    "Counter",
    "Denied",
    "Event",
    "Exists",
    "Experiment",
    "Flavor",
    "Found",
    "Group",
    "Handle",
    "Image",
    "Interrupted",
    "Invalid",
    "Key",
    "Listing",
    "Location",
    "MissingExtra",
    "NoCapacity",
    "Node",
    "NotFound",
    "NotReady",
    "Operation",
    "OperationState",
    "Origin",
    "Partial",
    "Plan",
    "Quota",
    "Snapshot",
    "Step",
    "Task",
    "Throttled",
    "Timeout",
    "Unsupported",
    "Vm",
    "VmState",
    "Volume",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives. Raises: AttributeError."""
    if name not in _HOME:
        raise AttributeError(f"module 'cloudms' has no attribute '{name}'")
    from importlib import import_module

    found = getattr(import_module(_HOME[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
