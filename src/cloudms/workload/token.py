"""The token of a store: made at its first start, in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cloudms import paths
from cloudms.errors import Denied, Invalid, NotFound

_SHORTEST = 20
"""Characters of a token; shorter ones can be guessed."""
_LARGEST = 4096


def provide(file: Path) -> str:
    """Return the token of a file, which is made when it is missing. Raises: Denied, Invalid."""
    try:
        paths.private(file.parent)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read(file)
    except OSError as error:
        raise Denied(f"{file} cannot be made: {error.strerror}", hint="name another --token-file") from None
    made = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(f"{made}\n")
    return made


def read(file: Path) -> str:
    """Return the token of a file. Raises: NotFound, Denied (others can read it), Invalid (it holds none)."""
    try:
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise Denied(f"others can read {file}", hint=f"chmod 600 {file}")
            content = stream.read(_LARGEST).strip()
    except FileNotFoundError:
        raise NotFound(f"there is no token in {file}", hint="cms workload store makes one") from None
    except OSError as error:
        raise Denied(f"{file} cannot be read: {error.strerror}", hint="is it your file?") from None
    if len(content) < _SHORTEST or len(content.split()) != 1 or not content.isascii():
        raise Invalid(f"{file} holds no token of {_SHORTEST} characters or more", hint="remove it: a new one is made")
    return content.decode("ascii")
