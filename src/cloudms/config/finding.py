"""What a look at the configuration finds."""

from __future__ import annotations

from typing import Any, ClassVar

from cloudms.record import Record


class Finding(Record):
    """One thing about the configuration a person may want to change.

    `level` is error, warning or info; `message` one line, `hint` what to do; `file` and `line` where (line 0: the file
    as a whole).
    """

    kind: ClassVar[str] = "finding"
    columns: ClassVar[tuple[str, ...]] = ("level", "message", "hint", "file", "line")

    level: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        """Return file:line, or what of it is known."""
        return f"{self.file}:{self.line}" if self.line else self.file

    def to_public(self) -> dict[str, Any]:
        """Return what machines are shown."""
        return {"kind": self.kind, "schema": 1, **self.to_document()}
