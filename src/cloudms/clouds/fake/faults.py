"""Faults on demand: what a fake cloud shall do wrong, how often, and to whom.

A fault is a dictionary `{call, name, times, fault, …}`; it comes from the settings (`faults`), from the file beside the
state (`<state>.faults.json`, written by `FakeCloud.add_fault` or by hand) and from the environment variable
CLOUDMS_FAKE_FAULTS (JSON). How often each one has struck is kept in the state, so that processes share the count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, NoReturn
from zlib import crc32

from cloudms.clouds.fake.store import Store
from cloudms.errors import CloudmsError, ConfigError, Denied, NoCapacity, NotReady, Throttled, Timeout
from cloudms.record import Record

VARIABLE = "CLOUDMS_FAKE_FAULTS"

KINDS: dict[str, str] = {
    "slow": "the call takes `seconds` longer",
    "throttled": "Throttled, asking to wait `seconds`",
    "denied": "Denied",
    "no_capacity": "NoCapacity",
    "unreachable": "NotReady: no connection",
    "timeout": "Timeout",
    "malformed": "NotReady: the reply makes no sense",
    "dies_before": "the process dies before anything is done (exit code 137)",
    "dies_midway": "the process dies when a creation has made the disk but not yet the VM",
    "dies_half_made": "the process dies when a creation has made the VM but not yet started it",
    "dies_after_accepting": "the process dies when the cloud has done it but the caller does not know yet",
    "loses_reply": "the cloud does it, but NotReady (or Timeout, with `error: timeout`) is raised",
    "never_ready": "a VM that is created or started stays pending",
    "error_state": "a VM that is created or started ends in state error with `reason`",
    "never_stops": "a graceful stop is ignored; by force it works",
    "partial_list": "a list raises NotReady after `after` entries",
}
"""Every fault with what it does."""


class Fault(Record):
    """One thing that shall go wrong.

    `call` and `name` are patterns (`*`, `?`) for the method and the name of its target; `times` how often it strikes
    (0: always); `seconds`, `after`, `reason` and `error` belong to single faults, see `KINDS`; `id` counts it.
    """

    fault: str
    call: str = "*"
    name: str = "*"
    times: int = 1
    seconds: float = 0.0
    after: int = 1
    reason: str = ""
    error: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        """Accept numbers as text and refuse a fault that does not exist."""
        own = self.__dict__
        if self.fault not in KINDS:
            raise ConfigError(f"the fake cloud knows no fault '{self.fault}'", hint=f"one of: {', '.join(KINDS)}")
        try:
            own["times"], own["after"], own["seconds"] = int(self.times), int(self.after), float(self.seconds)
        except ValueError:
            raise ConfigError(f"fault '{self.fault}' has a number that is none", hint="times, after, seconds") from None

    def meets(self, call: str, name: str) -> bool:
        """Whether it is meant for this call."""
        return fnmatchcase(call, self.call) and fnmatchcase(name, self.name)


def gather(store: Store, configured: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Return the faults of all three sources. Raises: ConfigError."""
    found = _number("settings", configured)
    text = os.environ.get(VARIABLE, "")
    if text:
        found += _number("environment", _parse(text, f"variable {VARIABLE}"))
    return found + stored(store)


def stored(store: Store) -> list[Fault]:
    """Return the faults in the file beside the state. Raises: ConfigError."""
    try:
        text = store.faults.read_text()
    except FileNotFoundError:
        return []
    return _number("file", _parse(text, str(store.faults)))


def _parse(text: str, where: str) -> list[Mapping[str, Any]]:
    try:
        entries = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not JSON: {error}", hint="a list of {call, name, times, fault}") from None
    return entries if isinstance(entries, list) else [entries]


def _number(source: str, entries: Iterable[Mapping[str, Any]]) -> list[Fault]:
    """Return the faults of one source, each with an id that stays the same in every process."""
    found = []
    for index, entry in enumerate(entries):
        try:
            fault = Fault(**entry)
        except TypeError as error:
            text = f"a fault in the {source} is malformed: {error}"
            raise ConfigError(text, hint="{call, name, times, fault}") from None
        mark = crc32(json.dumps(entry, sort_keys=True, default=str).encode())
        found.append(fault if fault.id else fault.with_(id=f"{source}-{index}-{mark:08x}"))
    return found


def strike(store: Store, faults: list[Fault], call: str, name: str) -> Fault | None:
    """Return the first fault that is due for this call, counted under the lock, or None."""
    for fault in faults:
        if fault.meets(call, name) and (not fault.times or _count(store, fault)):
            return fault
    return None


def _count(store: Store, fault: Fault) -> bool:
    """Whether `fault` may strike once more; if so it is counted."""
    if store.read()["used"].get(fault.id, 0) >= fault.times:
        return False
    with store.change() as world:
        used = world["used"].get(fault.id, 0)
        world["used"][fault.id] = min(used + 1, fault.times)
        return bool(used < fault.times)


def die() -> NoReturn:
    """End this process at once, as `kill -9` would."""
    os._exit(137)


def refusal(fault: Fault, cloud: str) -> CloudmsError | None:
    """Return the error that `fault` raises before anything is done, or None when it does another thing."""
    maker = _REFUSALS.get(fault.fault)
    return maker(fault, cloud) if maker else None


def lost(fault: Fault, cloud: str) -> CloudmsError:
    """Return the error of a caller whose request was carried out but whose reply did not arrive."""
    kind = Timeout if fault.error == "timeout" else NotReady
    return kind(
        f"cloud '{cloud}' closed the connection before it replied",
        hint="ask again: what was done is not done twice",
        details={"cloud": cloud, "simulated": True},
    )


def _refuse(kind: type[CloudmsError], text: str, hint: str) -> Callable[[Fault, str], CloudmsError]:
    def make(fault: Fault, cloud: str) -> CloudmsError:
        details: dict[str, Any] = {"cloud": cloud, "simulated": True}
        if kind is Throttled:
            details["retry_after"] = fault.seconds
        return kind(fault.reason or text.format(cloud=cloud), hint=hint, details=details)

    return make


_REFUSALS: dict[str, Callable[[Fault, str], CloudmsError]] = {
    "throttled": _refuse(Throttled, "cloud '{cloud}' was asked too often", "wait and ask again"),
    "denied": _refuse(Denied, "cloud '{cloud}' refuses these credentials", "check the credentials of the cloud"),
    "no_capacity": _refuse(NoCapacity, "cloud '{cloud}' has no room for this", "delete something or choose less"),
    "unreachable": _refuse(NotReady, "cloud '{cloud}' cannot be reached", "check the network"),
    "timeout": _refuse(Timeout, "cloud '{cloud}' did not answer in time", "ask again later"),
    "malformed": _refuse(NotReady, "cloud '{cloud}' sent a reply that makes no sense", "ask again later"),
}
