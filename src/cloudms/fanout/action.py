"""What is done on a host: a command, a file put there, a file got from there."""

from __future__ import annotations

from pathlib import Path

from cloudms.record import Record


class Command(Record):
    """A line for the remote shell; `input` is what it reads from stdin, or the file of it."""

    command: str
    input: bytes | Path = b""


class Put(Record):
    """A file, a folder or bytes that are written to the host at `remote`.

    `mode` is that of a file, None that of the source; `packed` is the folder as a tar file, when it was packed before.
    """

    source: Path | bytes
    remote: str
    mode: int | None = None
    packed: Path | None = None


class Get(Record):
    """A file or folder of the host that is written to `local`."""

    remote: str
    local: Path


Action = Command | Put | Get
