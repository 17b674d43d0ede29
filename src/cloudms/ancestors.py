"""Programs of the ancestors, run with one line more: `import cloudms.ancestors` before their own imports.

Their names are then here, unless a cloudmesh is installed, which goes first:

    import cloudms.ancestors
    from cloudmesh.cloud.configuration.config import Config
    from cloudmesh.vm.Vm import Vm

    Vm("aws").start("web")
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from cloudms.api import Cms, Handle
from cloudms.config import Config, Counter

__all__ = ["Config", "Counter", "Vm", "VmRefactor"]


class Vm:
    """The ancestors' class of this name: their calls on the VMs of one cloud, each of which waits until it is done.

    `Cms().vm` has the same calls, which do not wait. Parameters: `cloud`, the default one when it is empty.
    """

    def __init__(self, cloud: str = "") -> None:
        self.cms = Cms(cloud=cloud)

    def __getattr__(self, word: str) -> Callable[..., Any]:
        """Return a call, which gives the VM when there is one, or the list of them. Raises: AttributeError."""
        command = getattr(self.cms.vm, word)

        def call(*arguments: Any, **options: Any) -> Any:
            found = command(*arguments, **options)
            if isinstance(found, Handle):
                found = found.result()
                return found[0] if len(found) == 1 else found
            return found

        return call

    def __dir__(self) -> list[str]:
        """Return the calls."""
        return dir(self.cms.vm)


class VmRefactor(Vm):
    """The ancestors' class for other sizes, names and images: resize, confirm_resize, revert, rename, rebuild."""


NAMES: Mapping[str, Mapping[str, Any]] = {
    "cloudmesh": {},
    "cloudmesh.cloud": {},
    "cloudmesh.cloud.configuration": {},
    "cloudmesh.cloud.configuration.config": {"Config": Config},
    "cloudmesh.cloud.configuration.counter": {"Counter": Counter},
    "cloudmesh.configuration": {},
    "cloudmesh.configuration.Config": {"Config": Config},
    "cloudmesh.vm": {},
    "cloudmesh.vm.Vm": {"Vm": Vm},
    "cloudmesh.vm.VmRefactor": {"VmRefactor": VmRefactor},
}
"""Modules of the ancestors by name, with what programs take from them."""


def lend() -> None:
    """Let the ancestors' imports find what is here, unless theirs are installed."""
    if find_spec("cloudmesh") is not None:
        return
    for name, content in NAMES.items():
        module = ModuleType(name, __doc__)
        module.__dict__.update(content, __path__=[])
        sys.modules[name] = module
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, module)


lend()
