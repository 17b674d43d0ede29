"""What the fake cloud can be told in its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cloudms import paths
from cloudms.errors import ConfigError
from cloudms.record import Record


class Options(Record):
    """The settings of one fake cloud; times in seconds.

    `boot_seconds` from pending to running, `ready_seconds` from running until `Cloud.ready` says so, `stop_seconds`
    of a graceful stop, `change_seconds` of reboot, suspend, save, resize and rebuild, `delete_seconds` in state
    terminating, `linger_seconds` in state terminated before the VM vanishes; `unique_names` whether two VMs may share
    a name (AWS allows it); `confirm_resize` whether a resize waits for confirm or revert; `quota_vms` and
    `max_volume_gib` the quotas (0: none); `addresses` how many public addresses there are; `foreign` names of VMs that
    somebody else made; `refuse` why a role is not possible, by the role's name; `calls` whether calls are recorded.
    """

    boot_seconds: float = 0.2
    ready_seconds: float = 0.0
    stop_seconds: float = 0.0
    change_seconds: float = 0.0
    delete_seconds: float = 0.0
    linger_seconds: float = 0.0
    unique_names: bool = True
    confirm_resize: bool = True
    quota_vms: int = 0
    max_volume_gib: int = 0
    addresses: int = 16
    foreign: Sequence[str] = ()
    refuse: Mapping[str, str] = {}
    faults: Sequence[Mapping[str, Any]] = ()
    calls: bool = True
    state: str = ""

    def file(self, cloud: str) -> Path:
        """Return the file that holds the state of the fake cloud named `cloud`."""
        return Path(self.state).expanduser() if self.state else paths.home() / "fake" / f"{cloud}.json"


def read(given: Mapping[str, Any]) -> Options:
    """Return the options in `given`, whose values may be text; other keys belong to others. Raises: ConfigError."""
    defaults = Options().to_document()
    return Options(**{name: _typed(name, given[name], defaults[name]) for name in defaults if name in given})


def _typed(name: str, value: Any, default: Any) -> Any:
    """Return `value` in the type of `default`."""
    try:
        if isinstance(default, bool):
            return _truth(value)
        if isinstance(default, int | float):
            return _number(value, type(default))
    except (TypeError, ValueError):
        kind = "truth value" if isinstance(default, bool) else "number"
        raise ConfigError(
            f"setting '{name}' of the fake cloud is not a {kind}: {value!r}",
            hint=f"write for instance {name}: {default}",
        ) from None
    if isinstance(default, list) and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _number(value: Any, kind: type[int] | type[float]) -> float:
    number = kind(value)
    if number < 0:
        raise ValueError(number)
    return number


def _truth(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    text = str(value).lower()
    if text not in words:
        raise ValueError(text)
    return words[text]
