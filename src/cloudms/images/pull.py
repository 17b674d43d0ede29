"""Bring an official cloud image, or the image at an address, into the store: resumed, checked, recognised."""

from __future__ import annotations

import hashlib
import platform
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.errors import Invalid, NotFound
from cloudms.images import index as known
from cloudms.images.add import Facts, add
from cloudms.images.download import DEFAULT_PATIENCE, Part, Patience, check_address, download, fetch_text
from cloudms.images.store import ImageStore, Progress, StoredImage, silent

_KEPT = 7 * 86400.0  # seconds an unfinished download waits to be continued


def pull(
    name_or_url: str,
    *,
    name: str = "",
    checksum: str = "",
    login: str = "",
    force: bool = False,
    progress: Progress = silent,
    index: Path | None = None,
    store: ImageStore | None = None,
    clock: Clock | None = None,
    patience: Patience = DEFAULT_PATIENCE,
) -> StoredImage:
    """Return the image of the index or at the address, fetched now unless the store has one of that name.

    Parameters: `name` in the store (default: the index's, or made from the address); `checksum` as `sha256:…` for an
    address; `login` is the user SSH logs in as; `force` fetches again; `index` replaces the place of the person's own
    index. Raises: NotFound, Denied, NotReady, Throttled, Timeout, NoCapacity, Invalid (the checksum differs: what was
    fetched is deleted; or it is no usable image). After Ctrl-C the next call continues.
    """
    store = store if store is not None else ImageStore()
    clock = clock if clock is not None else SystemClock()
    entry, source = _resolve(name_or_url, checksum, login, index)
    target = name or entry.name
    if not force and (image := store.find(target)):
        return image
    folder = paths.private(store.root / ".pulls")
    _forget_old(folder, clock)
    with store.lock(f"pull-{hashlib.sha256(source.url.encode()).hexdigest()[:16]}"):
        part = _fetch(source, folder, clock, patience, progress)
        facts = Facts(
            os=entry.os,
            arch=_arch(entry, source),
            login=entry.login,
            firmware=entry.firmware,
            min_memory_mib=entry.min_memory_mib,
            source=source.url,
        )
        try:
            image = add(
                part.path,
                target,
                facts=facts,
                replace_existing=True,
                move=True,
                progress=progress,
                store=store,
                clock=clock,
            )
        except Invalid:
            part.delete()  # whole and checked, but of no use: another try would find the same
            raise
        part.delete()
        return image


def _resolve(name_or_url: str, checksum: str, login: str, index: Path | None) -> tuple[known.Entry, known.Source]:
    """Return what to fetch: an entry of the index, or one made up for an address."""
    if "://" not in name_or_url:
        return known.lookup(name_or_url, platform.machine(), index)
    check_address(name_or_url)
    algorithm, _, value = checksum.rpartition(":")
    if value and (algorithm or "sha256") not in known.ALGORITHMS:
        raise Invalid(
            f"unknown checksum '{algorithm}'", hint=f"write one of {', '.join(known.ALGORITHMS)}, a colon, the sum"
        )
    source = known.Source(url=name_or_url, algorithm=algorithm or "sha256", checksum=value.lower())
    return known.Entry(_name_of(name_or_url), "", login, {platform.machine(): source}), source


def _name_of(url: str) -> str:
    """Make a store name from the last part of an address, without the endings of disk images."""
    last = unquote(PurePosixPath(urlsplit(url).path).name)
    bare = re.sub(r"(\.(qcow2|img|raw|vmdk|vhd|vhdx|gz|bz2|xz|zst))+$", "", last)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", bare).strip("-._")[:64]
    if not name:
        raise Invalid(f"no name can be made from {url}", hint="give one with --name")
    return name


def _arch(entry: known.Entry, source: known.Source) -> str:
    return next(arch for arch, value in entry.arch.items() if value == source)


def _fetch(source: known.Source, folder: Path, clock: Clock, patience: Patience, progress: Progress) -> Part:
    """Download and check; what was continued from an earlier run and does not match is fetched once more."""
    expected = _expected(source, folder, clock, patience)
    key = hashlib.sha256(source.url.encode()).hexdigest()[:24]
    part = Part(folder / f"{key}.part", source.url, tuple({"sha256", source.algorithm}))
    part.load()
    while True:
        continued = part.resumed
        download(part, clock=clock, checked=bool(expected), patience=patience, progress=progress)
        if not expected:
            progress(part.size, part.size, "no checksum to compare with")
            return part
        if part.digest(source.algorithm) == expected:
            return part
        part.restart()
        if not continued:
            part.delete()
            raise Invalid(
                f"what {source.url} sent has another {source.algorithm} than announced; it is deleted",
                hint="run it again; if it stays, the mirror is damaged or in the middle of an update",
            )


def _expected(source: known.Source, folder: Path, clock: Clock, patience: Patience) -> str:
    if source.checksum or not source.checksums:
        return source.checksum.lower()
    text = fetch_text(source.checksums, clock=clock, folder=folder, patience=patience)
    file = unquote(PurePosixPath(urlsplit(source.url).path).name)
    found = find_checksum(text, file, source.algorithm)
    if not found:
        raise NotFound(f"{source.checksums} does not list {file}", hint="correct the entry in images.json")
    return found


def find_checksum(text: str, file: str, algorithm: str) -> str:
    """Return the sum of `file` from a checksum file, "" when it has none.

    Known are the lines of sha256sum (`SUM  FILE`, `SUM *FILE`), of BSD (`SHA256 (FILE) = SUM`) and a sum alone.
    """
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
    digits = rf"[0-9a-fA-F]{{{size}}}"
    name = re.escape(file)
    for pattern in (rf"^({digits}) [ *](?:\./)?{name}\s*$", rf"^{algorithm.upper()} \({name}\) = ({digits})\s*$"):
        if match := re.search(pattern, text, re.MULTILINE):
            return match[1].lower()
    alone = re.fullmatch(rf"\s*({digits})\s*", text)
    return alone[1].lower() if alone else ""


def _forget_old(folder: Path, clock: Clock) -> None:
    for path in folder.iterdir():
        if path.stat().st_mtime < clock.now() - _KEPT:
            path.unlink(missing_ok=True)
