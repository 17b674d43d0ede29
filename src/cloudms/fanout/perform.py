"""How each kind of action is done over the command channel of SSH, which every server has (SFTP is not everywhere)."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from cloudms.errors import CloudmsError, NoCapacity, NotFound, NotReady
from cloudms.fanout.action import Action, Command, Get, Put
from cloudms.fanout.faults import local
from cloudms.fanout.sink import Sink
from cloudms.fanout.talk import Talk

_CHUNK = 64 * 1024
_NO_SUCH = 66
"""The exit code by which our own remote line says that there is no such file (EX_NOINPUT, sysexits.h)."""

_SAYS = "cms:got:"
_KINDS = ("folder", "program", "file")
"""What our remote line says on stderr of what it gives, so that stdout is the file and nothing else."""


def open_sinks(action: Action, out: Sink, err: Sink) -> tuple[Sink, Sink]:
    """Return the sinks of an action: what is got goes whole into a file beside the place where it will stand."""
    if not isinstance(action, Get):
        return out, err
    folder = action.local.parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{action.local.name}.", suffix=".part", dir=folder)
    os.close(descriptor)
    return Sink(Path(name), tail=0, limit=0), err


def line_of(action: Action) -> str:
    """Return the line for the remote shell."""
    if isinstance(action, Command):
        return action.command
    remote = _spelled(action.remote)
    if isinstance(action, Get):
        return (
            f"if [ -d {remote} ]; then cd {remote} && echo {_SAYS}folder >&2 && exec tar -cf - .; "
            f"elif [ -x {remote} ]; then echo {_SAYS}program >&2; exec cat {remote}; "
            f"elif [ -e {remote} ]; then echo {_SAYS}file >&2; exec cat {remote}; "
            f"else echo 'there is no such file' >&2; exit {_NO_SUCH}; fi"
        )
    if isinstance(action.source, Path) and action.source.is_dir():
        return f"mkdir -p {remote} && exec tar -xf - -C {remote}"
    beside = f"{remote}.cms-$$"
    return (
        f"[ ! -d {remote} ] || {{ echo 'it is a folder' >&2; exit 73; }}; "
        f'mkdir -p "$(dirname {remote})" && cat > {beside} && chmod {_mode(action):o} {beside} && '
        f"mv -f {beside} {remote} || {{ s=$?; rm -f {beside}; exit $s; }}"
    )


def _mode(action: Put) -> int:
    if action.mode is not None:
        return action.mode
    return action.source.stat().st_mode & 0o777 if isinstance(action.source, Path) else 0o644


def _spelled(remote: str) -> str:
    """Return a path for the remote shell: quoted, but a `~/` in front is the home folder there."""
    return f'"$HOME"/{shlex.quote(remote[2:])}' if remote.startswith("~/") else shlex.quote(remote)


async def feed(action: Action, talk: Talk) -> None:
    """Send the input of an action. Raises: OSError (a file of this machine cannot be read)."""
    given = action.input if isinstance(action, Command) else action.source if isinstance(action, Put) else b""
    if isinstance(given, bytes):
        await _send(given, talk)
    elif isinstance(action, Command):
        await _pour(given, talk)
    elif isinstance(action, Put):
        async with _file_of(action) as file:
            await _pour(file, talk)
    talk.finish()


async def _send(data: bytes, talk: Talk) -> None:
    for begin in range(0, len(data), _CHUNK):
        if not await talk.feed(data[begin : begin + _CHUNK]):
            return


async def _pour(file: Path, talk: Talk) -> None:
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            if not await talk.feed(chunk):
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def _file_of(action: Put) -> AsyncIterator[Path]:
    source = action.packed or Path(str(action.source))
    if not source.is_dir():
        yield source
        return
    packed = await asyncio.to_thread(pack, source)
    try:
        yield packed
    finally:
        packed.unlink(missing_ok=True)


def pack(folder: Path) -> Path:
    """Return a new tar file of a folder, for `Put.packed`; the caller removes it. Raises: OSError."""
    descriptor, name = tempfile.mkstemp(prefix="cms-put-", suffix=".tar")
    try:
        with os.fdopen(descriptor, "wb") as stream, tarfile.open(fileobj=stream, mode="w") as archive:
            archive.add(folder, arcname=".")
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)


def settle(action: Action, talk: Talk) -> CloudmsError | None:
    """Bring what was got to its place, and return what went wrong, if anything did; it works in a thread."""
    if isinstance(action, Get):
        return _settle_get(action, talk)
    if isinstance(action, Put) and talk.exit and "no space left" in talk.err.text.lower():
        return NoCapacity("no space left on its disk", hint="free some there")
    return None


def drop(action: Action, out: Sink) -> None:
    """Remove what was got in part."""
    if isinstance(action, Get) and out.path is not None:
        out.path.unlink(missing_ok=True)


def _settle_get(action: Get, talk: Talk) -> CloudmsError | None:
    told, part = talk.err, Path(talk.out.path or "")
    kind = next((kind for kind in _KINDS if told.remove(f"{_SAYS}{kind}\n")), "")
    try:
        if talk.out.error is not None:
            return local(talk.out.error, f"{action.local} cannot be written")
        if talk.exit == _NO_SUCH:
            return NotFound(f"there is no {action.remote} on it")
        if talk.exit == 0 and kind == "folder":
            left_out = _unpack(part, action.local)
            told.take("".join(f"left out, since it leads out of the folder: {name}\n" for name in left_out).encode())
        elif talk.exit == 0:
            part.chmod(0o755 if kind == "program" else 0o644)
            part.replace(action.local)
    except OSError as error:
        return local(error, f"{action.local} cannot be written")
    except tarfile.TarError as error:
        return NotReady(f"{action.remote} came broken: {error}", hint="get it again")
    finally:
        part.unlink(missing_ok=True)
    return None


def _unpack(part: Path, wanted: Path) -> list[str]:
    """Put a folder where it is wanted; what stands there is replaced at the end. Return what was left out."""
    beside = Path(tempfile.mkdtemp(prefix=f".{wanted.name}.", dir=wanted.parent))
    old = beside.with_suffix(".old")
    left_out: list[str] = []
    try:
        with tarfile.open(part) as archive:
            archive.extractall(beside, members=_safe(archive, beside, left_out))  # noqa: S202 (looked at one by one)
        beside.chmod(0o755)
        if wanted.exists() or wanted.is_symlink():
            wanted.rename(old)
        beside.rename(wanted)
    finally:
        for each in (beside, old):
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)
    return left_out


def _safe(archive: tarfile.TarFile, folder: Path, left_out: list[str]) -> Iterator[tarfile.TarInfo]:
    """Yield what stays within the folder: files, folders, and links to such (tarfile's own filter is newer)."""
    root = folder.resolve()
    for member in archive:
        place = (root / member.name).resolve()
        leads = (root / member.linkname if member.islnk() else place.parent / member.linkname).resolve()
        inside = place.is_relative_to(root) and (not (member.issym() or member.islnk()) or leads.is_relative_to(root))
        if not inside or not (member.isreg() or member.isdir() or member.issym() or member.islnk()):
            left_out.append(member.name)
            continue
        member.mode = (member.mode & 0o755) | (0o700 if member.isdir() else 0o600)
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        yield member
