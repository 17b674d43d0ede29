"""Files of the configuration: read with errors to act on, written whole or not at all, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType

from cloudms import paths
from cloudms.clock import Clock
from cloudms.errors import CloudmsError, ConfigError, Conflict, Denied, NoCapacity

LARGEST = 4 * 1024 * 1024
"""Bytes of the largest configuration file that is read."""

Stamp = tuple[int, int, int]
"""Modification time in nanoseconds, size in bytes and inode: what tells that a file is still the same."""


def stamp(path: Path) -> Stamp | None:
    """Return what tells that the file at `path` is unchanged, or None where there is none."""
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def read(path: Path) -> tuple[str, Stamp]:
    """Return the text of a UTF-8 file, line ends as they are, and its stamp. Raises: ConfigError, naming the file."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
                raise ConfigError(f"{path} is not a configuration file", hint="it must be a regular file of text")
            content = file.read()
    except OSError as problem:
        raise _unreadable(path, problem) from None
    try:
        return content.decode("utf-8"), _stamp(status)
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise wrong(path, line, "this is not UTF-8 text", "save the file as UTF-8 in your editor") from None


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a named pipe in its place opens at once, too, instead of when somebody writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def wrong(path: Path | str, line: int, why: str, hint: str) -> ConfigError:
    """Return the error of a line of a file, its place in the message for people and in the details for machines."""
    return ConfigError(f"{path}:{line}: {why}", hint=hint, details={"file": str(path), "line": line})


def _unreadable(path: Path, problem: OSError) -> ConfigError:
    hints = {
        errno.EACCES: f"make it yours and readable: chmod 600 {path}",
        errno.EISDIR: "name a file, not a folder",
        errno.ENOENT: "check the name, or unset CLOUDMESH_CONFIG to use ~/.cloudmesh/cloudmesh.yaml",
    }
    return ConfigError(
        f"{path} cannot be read: {problem.strerror}",
        hint=hints.get(problem.errno or 0, "check the file and its folder"),
        details={"file": str(path), "line": 0},
    )


def write(path: Path, text: str) -> None:
    """Replace the file at `path` (mode 0600) by `text`, so that a reader sees the old one or the new one only.

    A symbolic link stays one and its target is replaced. The caller holds the `Lock` of `path`, which is why one name
    for the unfinished file is enough and a killed writer leaves no litter behind.
    Raises: Denied, NoCapacity.
    """
    target = Path(os.path.realpath(path))
    unfinished = target.with_name(f".{target.name}.new")
    try:
        paths.private(target.parent)
        _fill(unfinished, text, target)
        unfinished.replace(target)
        _sync(target.parent)
    except OSError as problem:
        raise _unwritable(path, problem) from None


def _fill(unfinished: Path, text: str, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        os.fchmod(descriptor, 0o600)
        if target.exists() and (owner := target.stat()).st_uid != os.geteuid() == 0:
            os.fchown(descriptor, owner.st_uid, owner.st_gid)  # root edits for a person, who keeps the file
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, problem: OSError) -> CloudmsError:
    message = f"{path} cannot be written: {problem.strerror}"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoCapacity(message, hint="free space on that disk")
    return Denied(message, hint="check the owner and the mode of the file and its folder")


class Lock:
    """The right to write `path`, held by one process at a time (flock on a file beside it, freed when a holder dies).

    Parameters: `clock`, the time to wait by; `patience`, seconds to wait for it. Raises on entering: Conflict, Denied.
    """

    def __init__(self, path: Path, clock: Clock, patience: float = 10.0) -> None:
        self._path = path
        self._clock = clock
        self._patience = patience
        self._descriptor = -1

    def __enter__(self) -> None:
        """Wait for the lock."""
        target = Path(os.path.realpath(self._path))
        try:
            paths.private(target.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(target.with_name(f".{target.name}.lock"), flags, 0o600)
        except OSError as problem:
            raise _unwritable(self._path, problem) from None
        self._wait()

    def _wait(self) -> None:
        end = self._clock.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.monotonic() >= end:
                    os.close(self._descriptor)
                    raise Conflict(
                        f"another process has been writing {self._path} for {self._patience:g} s",
                        hint="try again; if it hangs, look for a stuck cms process",
                    ) from None
                self._clock.sleep(0.003)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the lock back."""
        os.close(self._descriptor)
