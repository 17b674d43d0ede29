"""The ancestors' counter file, ~/.cloudmesh/counter.yaml, made safe for many processes at once."""

from __future__ import annotations

import re
from pathlib import Path

from cloudms import paths
from cloudms.clock import Clock, SystemClock
from cloudms.config import files
from cloudms.errors import Invalid

_LINE = r"(?P<name>[A-Za-z_][\w.-]*)\s*:\s*(?P<value>[^#]*?)\s*(#.*)?"
_NUMBER = r"(['\"]?)([0-9]{1,18})\1"
_NAME = r"[A-Za-z_][\w.-]{0,99}"


class Counter:
    """Named numbers that only one process at a time counts up: `Counter().incr()`.

    The file has a line `name: number` each; other lines are kept. `counter` continues from the ancestors' name.yaml
    where counter.yaml does not have it yet.
    Parameters: `path`, the file; `clock`, to wait for other processes by.
    """

    def __init__(self, path: str | Path | None = None, *, clock: Clock | None = None) -> None:
        self.path = Path(path).expanduser() if path else paths.home() / "counter.yaml"
        self._clock = clock or SystemClock()

    def get(self, name: str = "counter") -> int:
        """Return the number last given out, 0 when none was. Raises: ConfigError."""
        return self._value(self._read(), name)

    def incr(self, name: str = "counter", *, by: int = 1) -> int:
        """Count up and return the new number, which no other caller gets, nor those that were passed.

        Raises: ConfigError, Conflict.
        """
        return self._change(name, by)

    def decr(self, name: str = "counter") -> int:
        """Count down by one, not below 0, and return the new number. Raises: ConfigError, Conflict."""
        return self._change(name, -1)

    def set(self, name: str = "counter", value: int | str | None = None) -> int:
        """Set the counter `name` to `value`, 0 or more, and return it. Raises: Invalid, ConfigError, Conflict."""
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", str(value)):
            raise Invalid(f"a counter cannot be {value!r}", hint="give a whole number, 0 or more")
        with files.Lock(self.path, self._clock):
            self._write(self._read(), name, int(str(value)))
        return int(str(value))

    def values(self) -> dict[str, int]:
        """Return every counter by name. Raises: ConfigError."""
        lines = self._read()
        names = [found["name"] for line in lines if (found := re.fullmatch(_LINE, line.strip()))]
        return {name: self._value(lines, name) for name in names}

    def _change(self, name: str, by: int) -> int:
        with files.Lock(self.path, self._clock):
            lines = self._read()
            number = max(self._value(lines, name) + by, 0)
            self._write(lines, name, number)
        return number

    def _read(self) -> list[str]:
        lines = files.read(self.path)[0].splitlines() if self.path.exists() else []
        for number, line in enumerate(lines, 1):
            if not re.fullmatch(_LINE, line.strip()) and not line.startswith("---") and line.partition("#")[0].strip():
                raise files.wrong(self.path, number, "this is not 'name: number'", "correct or remove that line")
        return lines

    def _value(self, lines: list[str], name: str) -> int:
        checked(name)
        for number, line in enumerate(lines, 1):
            found = re.fullmatch(_LINE, line.strip())
            if found and found["name"] == name:
                return self._number(found["value"], number)
        return self._inherited() if name == "counter" else 0

    def _number(self, text: str, line: int) -> int:
        found = re.fullmatch(_NUMBER, text)
        if found is None and text not in ("", "~", "null", "TBD"):
            raise files.wrong(self.path, line, "a counter is not a whole number", "write a number, 0 or more")
        return int(found[2]) if found else 0

    def _inherited(self) -> int:
        """Return the counter of the ancestors' name.yaml, so that names go on where they were."""
        return int(found) if (found := name_file(self.path.parent).get("counter", "0")).isdecimal() else 0

    def _write(self, lines: list[str], name: str, value: int) -> None:
        checked(name)
        new = f"{name}: {value}"
        for index, line in enumerate(lines):
            found = re.fullmatch(_LINE, line.strip())
            if found and found["name"] == name:
                lines[index] = new
                break
        else:
            lines.append(new)
        files.write(self.path, "\n".join(lines) + "\n")


def checked(name: str) -> str:
    """Return `name` when a counter may have it. Raises: Invalid."""
    if not re.fullmatch(_NAME, name):
        raise Invalid(f"{name!r} cannot name a counter", hint="use letters, digits, '_', '.' and '-'")
    return name


def name_file(folder: Path) -> dict[str, str]:
    """Return what the ancestors' name.yaml in `folder` says (counter, kind, schema, user), empty without one."""
    path = folder / "name.yaml"
    if not path.exists():
        return {}
    found = (re.fullmatch(_LINE, line.strip()) for line in files.read(path)[0].splitlines())
    return {line["name"]: line["value"].strip("'\"") for line in found if line}
