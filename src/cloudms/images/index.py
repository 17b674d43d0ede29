"""Which images can be pulled by name: the list that comes with cloudms, and the person's own.

Both files have one shape (see `index.json`): `images` is a list of {name, os, login, min_memory_mib, arch}, and `arch`
maps a processor to {url, checksums, algorithm}. The person's own is `images.json` in the settings folder; an entry
there replaces one of the same name. `checksums` is the address of a checksum file; `checksum` may give the sum itself.
The addresses of the list are checked for their structure only: no build of cloudms asks all these servers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloudms import paths
from cloudms.errors import ConfigError, NotFound

INDEX = Path(__file__).parent / "index.json"
ALGORITHMS = ("sha256", "sha512", "sha1", "md5")


@dataclass(frozen=True)
class Source:
    """Where an image for one processor is: its address and what its checksum is checked against (one of the two)."""

    url: str
    algorithm: str = "sha256"
    checksums: str = ""
    checksum: str = ""


@dataclass(frozen=True)
class Entry:
    """An image that can be pulled; `arch` maps a processor (x86_64, aarch64) to its source."""

    name: str
    os: str
    login: str
    arch: Mapping[str, Source]
    min_memory_mib: int = 512
    firmware: str = "bios"


def own_index() -> Path:
    """Return the person's own index, which need not exist."""
    return paths.home() / "images.json"


def entries(own: Path | None = None) -> dict[str, Entry]:
    """Return every known image by name; ConfigError when an index is malformed.

    Parameters: `own` replaces the place of the person's own index.
    """
    found = {entry.name: entry for entry in read(INDEX)}
    mine = own if own is not None else own_index()
    if mine.exists():
        found |= {entry.name: entry for entry in read(mine)}
    return found


def lookup(name: str, arch: str, own: Path | None = None) -> tuple[Entry, Source]:
    """Return the image `name` and its source for the processor; NotFound says what is known."""
    known = entries(own)
    entry = known.get(name)
    if entry is None:
        raise NotFound(
            f"no image '{name}' in the index", hint=f"known: {', '.join(sorted(known))}; or give its address"
        )
    if arch not in entry.arch:
        raise NotFound(f"'{name}' is not offered for {arch}", hint=f"it is for {', '.join(sorted(entry.arch))}")
    return entry, entry.arch[arch]


def read(path: Path) -> list[Entry]:
    """Return the entries of one index file; ConfigError names the file and the entry that is wrong."""
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}", hint="correct the file") from error
    images = document.get("images") if isinstance(document, dict) else None
    if not isinstance(images, list):
        raise ConfigError(f"{path} has no list 'images'", hint='start from {"schema": 1, "images": []}')
    return [_entry(path, number, raw) for number, raw in enumerate(images, 1)]


def _entry(path: Path, number: int, raw: Any) -> Entry:
    where = f"{path}, image {number}"
    if not isinstance(raw, dict) or not isinstance(raw.get("name"), str) or not isinstance(raw.get("arch"), dict):
        raise ConfigError(f"{where}: 'name' and 'arch' are needed", hint="compare it with the index of cloudms")
    return Entry(
        name=raw["name"],
        os=str(raw.get("os", "")),
        login=str(raw.get("login", "")),
        arch={arch: _source(f"{where} ({raw['name']}, {arch})", value) for arch, value in raw["arch"].items()},
        min_memory_mib=int(raw.get("min_memory_mib", 512)),
        firmware=str(raw.get("firmware", "bios")),
    )


def _source(where: str, raw: Any) -> Source:
    if not isinstance(raw, dict) or urlsplit(str(raw.get("url", ""))).scheme not in ("http", "https"):
        raise ConfigError(f"{where}: 'url' must be an http or https address", hint="correct the file")
    source = Source(**{key: str(raw[key]) for key in ("url", "algorithm", "checksums", "checksum") if key in raw})
    if source.algorithm not in ALGORITHMS:
        raise ConfigError(f"{where}: unknown algorithm '{source.algorithm}'", hint=f"use {', '.join(ALGORITHMS)}")
    return source
