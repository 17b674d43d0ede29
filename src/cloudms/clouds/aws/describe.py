"""An instance as the noun Vm: state, reason, addresses, tags. Nothing here raises for an instance that is odd.

States and reasons: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html and API_StateReason.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms.clouds.aws import tags as tagging
from cloudms.clouds.aws.tags import Tags
from cloudms.clouds.view import View, odd, origin_of
from cloudms.model import Vm, VmState

STATES: Mapping[str, VmState] = {
    "pending": VmState.PENDING,
    "running": VmState.RUNNING,
    "stopping": VmState.STOPPING,
    "stopped": VmState.STOPPED,
    "shutting-down": VmState.TERMINATING,
    "terminated": VmState.TERMINATED,
}
GONE = ("shutting-down", "terminated")
HIBERNATED = "Client.UserInitiatedHibernate"
ORDINARY = ("Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown", HIBERNATED, "pending")
"""Reasons that need not be told: somebody wanted it."""
_ENDED = {
    "Client.UserInitiatedShutdown": "a user of the account terminated it",
    "Client.InstanceInitiatedShutdown": "it was shut down from inside, as at the end of its lease",
}
"""What is told all the same of an instance that is no more: it may not have been this catalog that wanted it."""
_PLAIN = frozenset((str, bool, int, float, type(None)))
_SECRET = ("UserData", "PasswordData")
GUESS = "ec2-user"
"""The login of an instance that nobody made any statement about: that of Amazon's own images."""


def vm(row: Mapping[str, Any], region: str, view: View) -> Vm:
    """Return the noun of an instance."""
    try:
        return _vm(row, region, view)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return odd(str(row.get("InstanceId") or "?"), region, view, error, raw(row))


def _vm(row: Mapping[str, Any], region: str, view: View) -> Vm:
    tags, ident = tagging.of(row), str(row.get("InstanceId") or "")
    state, reason = state_of(row, tags)
    public, private = addresses(row)
    return Vm(
        name=tags.name or ident, cloud=view.cloud, id=ident, region=region, labels=dict(tags.labels),
        fetched=view.now, raw=raw(row), state=state, reason=reason, since=since(row),
        image=tags.image or str(row.get("ImageId") or ""), flavor=str(row.get("InstanceType") or ""),
        public_ips=public, private_ips=private, group=tags.group, owner=tags.owner,
        created=created(row), expires=tags.expires, origin=origin_of(tags, view.owner),
        protected=tags.protected, keep_stopped=tags.keep_stopped, token=tags.token,
        login=tags.login or view.login or GUESS, ssh_host=(*public, *private, "")[0],
    )  # fmt: skip


def is_gone(row: Mapping[str, Any]) -> bool:
    """Whether an instance is deleted or on the way to it."""
    return _word(row) in GONE


def state_of(row: Mapping[str, Any], tags: Tags) -> tuple[VmState, str]:
    """Return the state of an instance and why it is in it."""
    word, reason = _word(row), reason_of(row)
    state = STATES.get(word)
    if state is None:
        return VmState.UNKNOWN, f"AWS says state {word!r}"
    if state in (VmState.STOPPED, VmState.STOPPING) and _hibernates(row, tags):
        return (VmState.SAVED if state is VmState.STOPPED else VmState.SUSPENDING), ""
    if state is VmState.TERMINATED and not reason:
        return state, _ENDED.get(str((row.get("StateReason") or {}).get("Code")), "")
    return state, "" if state is VmState.RUNNING else reason


def reason_of(row: Mapping[str, Any]) -> str:
    """Return why an instance is in its state, or an empty string where somebody wanted it so."""
    said = row.get("StateReason") or {}
    code, message = str(said.get("Code") or ""), str(said.get("Message") or "")
    if code and code not in ORDINARY:
        text = message.partition(": ")[2] if message.startswith(f"{code}: ") else message
        return " ".join((text or code).split())[:300]
    text = str(row.get("StateTransitionReason") or "")
    return "" if text.startswith("User initiated") else " ".join(text.split())[:300]


def since(row: Mapping[str, Any]) -> float | None:
    """Return when an instance came into its state, as far as AWS tells it."""
    found = re.search(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)", str(row.get("StateTransitionReason") or ""))
    if found:
        from datetime import UTC, datetime

        return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    return seconds(row.get("LaunchTime")) if _word(row) in ("pending", "running") else None


def created(row: Mapping[str, Any]) -> float | None:
    """Return when an instance was made: `LaunchTime` is that of its last start, its first card is as old as itself."""
    cards: Sequence[Mapping[str, Any]] = row.get("NetworkInterfaces") or ()
    times = [seconds((card.get("Attachment") or {}).get("AttachTime")) for card in cards]
    known = [time for time in (*times, seconds(row.get("LaunchTime"))) if time is not None]
    return min(known) if known else None


def addresses(row: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the public and the private addresses of an instance, the first ones first."""
    public, private = [row.get("PublicIpAddress")], [row.get("PrivateIpAddress")]
    sixes = [row.get("Ipv6Address")]
    for card in row.get("NetworkInterfaces") or ():
        public.append((card.get("Association") or {}).get("PublicIp"))
        for each in card.get("PrivateIpAddresses") or ():
            public.append((each.get("Association") or {}).get("PublicIp"))
            private.append(each.get("PrivateIpAddress"))
        sixes += [each.get("Ipv6Address") for each in card.get("Ipv6Addresses") or ()]
    return _distinct([*public, *sixes]), _distinct(private)


def raw(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return AWS's description as JSON values, its times as RFC 3339 text, without what is secret."""
    found: dict[str, Any] = jsonable({key: value for key, value in row.items() if key not in _SECRET})
    return found


def jsonable(value: Any) -> Any:
    """Return what boto3 gave as JSON values: times as RFC 3339 text, bytes left out."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is dict:  # by far the most, in lists of ten thousand
        return {
            key: item if type(item) in _PLAIN else jsonable(item)
            for key, item in value.items()
            if type(item) is not bytes
        }
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items() if not isinstance(item, bytes)}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value


def seconds(value: Any) -> float | None:
    """Return a time that AWS told, as boto3's datetime or as text, in epoch seconds; None when it is none."""
    if hasattr(value, "timestamp"):
        return float(value.timestamp())
    if not isinstance(value, str) or not value:
        return None
    from datetime import UTC, datetime

    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _hibernates(row: Mapping[str, Any], tags: Tags) -> bool:
    """Whether an instance that is off, or goes off, has its memory on disk: AWS says it, or our tag of this launch."""
    if (row.get("StateReason") or {}).get("Code") == HIBERNATED:
        return True
    launched = seconds(row.get("LaunchTime"))
    return tags.saved is not None and launched is not None and int(tags.saved) == int(launched)


def _word(row: Mapping[str, Any]) -> str:
    return str((row.get("State") or {}).get("Name") or "")


def _distinct(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value))
