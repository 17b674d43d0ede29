"""The file behind a fake cloud: many processes and threads share it, and killing any of them at any time is safe.

Changes are made one at a time under a lock of the kernel (`flock`, given back when its process dies) and replace the
file in one step, so that readers need no lock and never see half a change. Calls are journalled in a file of their
own, since a line can be appended without rewriting the state.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cloudms import paths
from cloudms.errors import Invalid

Doc = dict[str, Any]
"""One thing of the fake cloud as it stands in the file."""

JOURNAL_BYTES = 4 << 20
"""The journal of calls starts anew beyond this size."""

_MARK_BYTES = 40
"""So many bytes at the start of the file hold its mark, which changes with every change."""

TABLES = (
    "vms", "disks", "keys", "volumes", "snapshots", "volume_snapshots", "secgroups", "addresses", "staged", "used",
)  # fmt: skip


def fresh() -> Doc:
    """Return the state of a fake cloud that nobody has used yet."""
    return {"mark": f"{os.urandom(6).hex()}-{0:010d}", "next": 1, "seeded": [], **{table: {} for table in TABLES}}


class Store:
    """The state file of one fake cloud, with its lock, its faults and its journal beside it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.faults = file.with_name(f"{file.name}.faults.json")
        self._lock = file.with_name(f"{file.name}.lock")
        self._new = file.with_name(f"{file.name}.new")
        self._journal = file.with_name(f"{file.name}.calls")
        self._known: tuple[bytes, Doc] = (b"", {})

    def read(self) -> Doc:
        """Return the state, which must not be changed: parsed only when the file has changed."""
        try:
            with self.file.open("rb") as stream:
                mark = stream.read(_MARK_BYTES)
                known, state = self._known
                if mark == known:
                    return state
                state = self._parse(mark + stream.read())
        except FileNotFoundError:
            return fresh()
        self._known = (mark, state)
        return state

    @contextmanager
    def change(self) -> Iterator[Doc]:
        """Yield the state under the lock and keep what was done to it, unless the block raises."""
        with self.locked():
            state = self._load()
            yield state
            head, count = state["mark"].split("-")
            state["mark"] = f"{head}-{int(count) + 1:010d}"
            data = json.dumps(state, separators=(",", ":")).encode()
            self._write(self.file, data)
            self._known = (data[:_MARK_BYTES], state)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock; each use opens its own descriptor, so that it separates threads as well as processes."""
        paths.private(self.file.parent)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write_faults(self, faults: list[Doc]) -> None:
        """Replace the faults file; the caller holds the lock."""
        self._write(self.faults, json.dumps(faults, indent=2).encode())

    def note(self, entry: Doc) -> None:
        """Append one call to the journal: one write, which the kernel does not mix with those of others."""
        paths.private(self.file.parent)
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(descriptor).st_size > JOURNAL_BYTES:
                os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(entry).encode() + b"\n")
        finally:
            os.close(descriptor)

    def notes(self) -> list[Doc]:
        """Return the journal of calls."""
        try:
            return [json.loads(line) for line in self._journal.read_text().splitlines()]
        except FileNotFoundError:
            return []

    def _load(self) -> Doc:
        try:
            return self._parse(self.file.read_bytes())
        except FileNotFoundError:
            return fresh()

    def _parse(self, data: bytes) -> Doc:
        try:
            state = json.loads(data)
            return {**fresh(), **state}
        except (ValueError, TypeError):
            raise Invalid(
                f"{self.file} is not the state of a fake cloud", hint=f"delete it to begin anew: rm {self.file}"
            ) from None

    def _write(self, file: Path, data: bytes) -> None:
        """Replace `file` in one step; whoever holds the lock owns the new file, so a killed one leaves no litter."""
        descriptor = os.open(self._new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        self._new.replace(file)
