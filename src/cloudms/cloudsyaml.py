"""`clouds.yaml`, where OpenStack's own tools have their clouds: found, read with its secure.yaml, and one cloud of it.

Places and merging: https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudms.errors import ConfigError, NotFound
from cloudms.names import nearest

_ENDINGS = (".yaml", ".yml", ".json")
_LARGEST = 1 << 20


def place(environ: Mapping[str, str], given: str = "", stem: str = "clouds") -> Path | None:
    """Return the file that counts: the `given` one, that of the environment, else the first of the usual places.

    Parameters: `stem` is `clouds` or `secure`.
    """
    variable = {"clouds": "OS_CLIENT_CONFIG_FILE", "secure": "OS_CLIENT_SECURE_FILE"}[stem]
    if named := given or environ.get(variable, ""):
        return Path(named).expanduser()
    home = Path(environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    for folder in (Path(), home / "openstack", Path("~/.config/openstack").expanduser(), Path("/etc/openstack")):
        for ending in _ENDINGS:
            file = folder / f"{stem}{ending}"
            if file.is_file():
                return file
    return None


def clouds(environ: Mapping[str, str], given: str = "") -> tuple[dict[str, Any], str]:
    """Return the clouds of the file by name, secrets of secure.yaml in them, and where it is; none without a file.

    Raises: ConfigError (unreadable, or no YAML).
    """
    file = place(environ, given)
    if file is None:
        return {}, ""
    listed = _read(file).get("clouds")
    found: dict[str, Any] = dict(listed) if isinstance(listed, Mapping) else {}
    beside = file.with_name(f"secure{file.suffix}") if given else None
    secure = beside if beside is not None and beside.is_file() else None if given else place(environ, stem="secure")
    if secure is not None and secure.is_file():
        more = _read(secure).get("clouds")
        for name, entry in more.items() if isinstance(more, Mapping) else ():
            if name in found and isinstance(entry, Mapping):
                found[name] = over(found[name] or {}, entry)
    return found, str(file)


def cloud(name: str, environ: Mapping[str, str], given: str = "") -> dict[str, Any]:
    """Return what the file says of a cloud. Raises: NotFound (naming the nearest), ConfigError."""
    listed, file = clouds(environ, given)
    entry = listed.get(name)
    if isinstance(entry, Mapping):
        return dict(entry)
    if not file:
        raise NotFound(
            f"there is no clouds.yaml to take cloud '{name}' from",
            hint="put it into ~/.config/openstack, or name the file in OS_CLIENT_CONFIG_FILE",
        )
    close = nearest(name, listed)
    known = ", ".join(sorted(listed)[:8]) or "none at all"
    raise NotFound(f"{file} has no cloud '{name}'", hint=f"did you mean {close}?" if close else f"it has {known}")


def over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the values of `own`, section by section."""
    both = dict(base)
    for key, value in own.items():
        below = both.get(key)
        both[key] = over(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return both


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        if file.stat().st_size > _LARGEST:
            raise ConfigError(f"{file} is too large to be a list of clouds", hint="name another file")
        found = yaml.load(file.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 (safe)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", hint="OS_CLIENT_CONFIG_FILE names it") from None
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{file}{line} is not YAML", hint="openstack configuration show reads it, too") from None
    return dict(found) if isinstance(found, Mapping) else {}
