"""Clouds out of every generation of the ancestors' file, in one shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cloudms.config.known import ELSEWHERE, ENTRY, REQUIRED, VM_DEFAULT, kind_of
from cloudms.config.secret import Secret, revealed
from cloudms.config.tree import is_entry_credential, is_unset, leaves
from cloudms.record import Record

SECTIONS = ("cloud", "clouds", "compute")
PARTS = (*SECTIONS, "default", "location", "active", "credentials")
"""The sections under `cloudmesh` that say something about clouds."""
BUILT_IN = {"local": "libvirt"}
"""The cloud that exists without any file, unless the file says something else about that name."""
ON_REQUEST = {"fake": "fake"}
"""Clouds that can be asked for by name and stand in no list."""

_SAME = (("flavor", "size"), ("login", "username"), ("key", "keypair"))
_VALUES_IN_ENTRY = ("location", "image", "size", "flavor")
_CM_IN_ENTRY = "cm_"


class CloudSettings(Record):
    """What the configuration says about one cloud.

    `kind` is the provider (libvirt, aws …; empty when nothing says it); `state` is active, inactive (the file says so),
    unset (its credentials are still TBD) or unsupported (no such kind here), and `active` whether it is the first;
    `default` holds image, flavor, login, location … with the ancestors' words (size, username) beside ours; `options`
    what else its entry says; `credentials` secrets that read the file when revealed; `unset` names those without value.
    """

    name: str
    kind: str = ""
    active: bool = True
    state: str = "active"
    label: str = ""
    default: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    credentials: Mapping[str, Any] = {}
    unset: tuple[str, ...] = ()

    def reveal(self) -> dict[str, Any]:
        """Return the credentials as plain values, the unset ones left out. Raises: Denied, ConfigError."""
        plain: dict[str, Any] = revealed(self.credentials)
        return plain

    def option(self, name: str, otherwise: Any = None) -> Any:
        """Return the plain value of an option, or of a default, or `otherwise`."""
        return revealed(self.options.get(name, self.default.get(name, otherwise)))


def truth(value: object, otherwise: bool = False) -> bool:
    """Return what a person means by true, yes, on, 1 (or their opposites) in any case, else `otherwise`."""
    word = str(value).strip().lower()
    return True if word in ("true", "yes", "on", "1") else False if word in ("false", "no", "off", "0") else otherwise


def content(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what stands under `cloudmesh:`, or the whole file when it begins one level deeper (2017's aws.yml)."""
    below = root.get("cloudmesh")
    if isinstance(below, dict):
        return below
    return root if below is None and any(key in root for key in (*SECTIONS, "credentials", "default")) else {}


def entries(root: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield section, name and entry of every cloud in the file, the first of each name."""
    cm = content(root)
    seen: set[str] = set()
    for section in SECTIONS:
        listed = cm.get(section)
        for name, entry in listed.items() if isinstance(listed, dict) else ():
            if isinstance(entry, dict) and name not in seen:
                seen.add(name)
                yield section, name, entry
    lone = cm.get("credentials")
    if not seen and isinstance(lone, dict) and (kind := kind_of("", "", list(lone))):
        yield "", kind, {"credentials": lone}


def completed(listed: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return every entry with what it has from the one that it is `like`; a circle or a lost name adds nothing."""
    return {name: _completed(name, listed, ()) for name in listed}


def _completed(name: str, listed: Mapping[str, dict[str, Any]], trail: tuple[str, ...]) -> dict[str, Any]:
    """Return an entry over that of its source.

    Heading and whether it is active are its own; so are credentials, once it says any or another profile.
    """
    own = listed[name]
    source = str(own.get("like") or "")
    if source not in listed or source in (*trail, name):
        return own
    base = _completed(source, listed, (*trail, name))
    own_login = "credentials" in own or "profile" in own or any(map(is_entry_credential, own))
    kept = {
        key: value
        for key, value in base.items()
        if not (own_login and (key in ("credentials", "profile") or is_entry_credential(key)))
    }
    kept["cm"] = {"kind": kind_of_entry(source, base), **_shared(kept.get("cm"))}
    return over(kept, own)


def _shared(about: Any) -> dict[str, Any]:
    section = about if isinstance(about, dict) else {}
    return {key: value for key, value in section.items() if key not in ("active", "heading", "label")}


def over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `own`, section by section."""
    both = dict(base)
    for key, value in own.items():
        below = both.get(key)
        both[key] = over(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return both


def kind_of_entry(name: str, entry: dict[str, Any]) -> str:
    """Return the kind of a cloud: what its entry says, else by its credentials or its name."""
    about = _about(entry)
    return kind_of(_text(about.get("kind") or about.get("type")), name, list(_credentials(entry)))


def read(root: Mapping[str, Any], kinds: Collection[str], environ: Collection[str] = ()) -> dict[str, CloudSettings]:
    """Return the clouds of a file by name, the built-in ones last.

    Parameters: `root`, the file with `Secret` leaves and references replaced; `kinds`, those that can be opened;
    `environ`, the variables that are set.
    """
    cm = content(root)
    listed = cm.get("active")
    chosen = [str(name) for name in listed] if isinstance(listed, list) else None
    whole = completed({name: entry for _, name, entry in entries(root)})
    found = {name: _cloud(name, entry, cm, chosen, kinds, environ) for name, entry in whole.items()}
    for name, kind in BUILT_IN.items():
        found.setdefault(name, CloudSettings(name=name, kind=kind, label=name))
    return found


def _cloud(
    name: str,
    entry: dict[str, Any],
    cm: Mapping[str, Any],
    chosen: list[str] | None,
    kinds: Collection[str],
    environ: Collection[str],
) -> CloudSettings:
    about = _about(entry)
    credentials = _credentials(entry)
    kind = kind_of_entry(name, entry)
    active = truth(about.get("active"), chosen is None or name in chosen)
    unset = tuple(path[-1] for path, value in leaves(dict(credentials)) if isinstance(value, Secret) and not value)
    state = "active" if active else "inactive"
    options = _options(entry, about)
    given = bool(options.get("profile")) or any(name in environ for name in ELSEWHERE.get(kind, ()))
    if not given and _is_unset(kind, credentials, unset):
        state = "unset"
    elif kind not in kinds:
        state = "unsupported"
    return CloudSettings(
        name=name,
        kind=kind,
        active=state == "active",
        state=state,
        label=_text(about.get("heading")) or name,
        default=_default(entry, cm),
        options=options,
        credentials=credentials,
        unset=unset,
    )


def _about(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what v4 says under `cm:`, the client as `cm_…` and early cm4 beside the sections."""
    about = {key.removeprefix(_CM_IN_ENTRY): value for key, value in entry.items() if key.startswith(_CM_IN_ENTRY)}
    about |= {key: entry[key] for key in ("kind", "active") if key in entry}
    section = entry.get("cm")
    return about | section if isinstance(section, dict) else about


def _credentials(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the credentials, those that stand beside an empty `credentials:` included."""
    beside = {key: value for key, value in entry.items() if is_entry_credential(key)}
    section = entry.get("credentials")
    return {**beside, **section} if isinstance(section, dict) else beside


def _is_unset(kind: str, credentials: Mapping[str, Any], unset: tuple[str, ...]) -> bool:
    """Whether the credentials that matter are mentioned and none of them has a value."""
    present = [path[-1] for path, _ in leaves(dict(credentials))]
    matter = [key for key in present if key in REQUIRED.get(kind, present)]
    return bool(matter) and all(key in unset for key in matter)


def _default(entry: dict[str, Any], cm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults: of the entry, then (2017) those under `cloudmesh` itself; unset ones are left out."""
    shared = cm.get("default")
    default = {key: value for key, value in shared.items() if key in VM_DEFAULT} if isinstance(shared, dict) else {}
    default = aliased({"location": cm.get("location")} | default)
    default |= aliased({key: entry[key] for key in _VALUES_IN_ENTRY if key in entry})
    section = entry.get("default")
    return default | aliased(section) if isinstance(section, dict) else default


def aliased(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are set, with both words for what has two: flavor and size, login and username …"""
    kept = {key: value for key, value in values.items() if not is_unset(value)}
    for ours, theirs in _SAME:
        for one, other in ((ours, theirs), (theirs, ours)):
            if one in kept:
                kept.setdefault(other, kept[one])
    return kept


def _options(entry: dict[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the entry says beside the known sections; `options:` wins over all."""
    beside = {key: value for key, value in about.items() if key not in ("kind", "active", "type")}
    beside |= {key: value for key, value in entry.items() if key not in ENTRY and not is_entry_credential(key)}
    section = entry.get("options")
    return {
        key: value
        for key, value in (beside | section if isinstance(section, dict) else beside).items()
        if not is_unset(value)
    }


def _text(value: object) -> str:
    return "" if is_unset(value) else str(value)
