"""The matrix of roles: which cases of which role the contract suite ran on which cloud, and how they ended.

It is held against the table of docs/reference/roles.md: what a cloud is said to have, a case has shown; what it is said
not to have, was refused.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from cloudms.clouds.base import Role, all_roles

PASSED, FAILED, SKIPPED, REFUSED = "passed", "failed", "skipped", "refused"


class Matrix:
    """What was seen: by kind of cloud and name of a role, how often cases ended in which way.

    `ran` are cases that need the role, `denied` those which show that a missing role is refused; `cut` the pairs of
    which not every case was to run, `absent` says by kind why a cloud was not there to be tested; `files` are those of
    the contract that were asked for, `partial` tells that some were not, and `judged` that the matrix was looked at.
    """

    def __init__(self) -> None:
        self.ran: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.denied: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.cut: set[tuple[str, str]] = set()
        self.absent: dict[str, str] = {}
        self.files: set[str] = set()
        self.partial = self.judged = False

    def note(self, kind: str, role: type[Role], end: str, *, lacks: bool = False) -> None:
        """Count the end of a case of `role` (with `lacks`: of the case that it is missing)."""
        (self.denied if lacks else self.ran)[kind, role.name][end] += 1

    def wrong(self, kind: str, roles: Iterable[type[Role]], said: Mapping[str, bool]) -> list[str]:
        """Return what does not agree of a cloud, a line each.

        Parameters: `roles` are those of its class, `said` what the documentation says by the name of each role.
        """
        has, lines = {role.name for role in roles}, []
        for role in all_roles():
            name = role.name
            if name not in said:
                lines.append(f"the table of roles has no '{name}' of {kind}")
            elif said[name] != (name in has):
                lines.append(f"the table of roles says {'yes' if said[name] else 'no'} of '{name}' and {kind}")
            if (kind, name) not in self.cut:
                lines += self._unproven(kind, name) if name in has else self._undenied(kind, name)
        return lines

    def _unproven(self, kind: str, name: str) -> list[str]:
        ends = self.ran[kind, name]
        if ends[REFUSED]:
            return [f"{kind} declares '{name}' and refused it in {ends[REFUSED]} of its cases"]
        return [] if ends[PASSED] else [f"{kind} declares '{name}', and no case of it passed: {_told(ends)}"]

    def _undenied(self, kind: str, name: str) -> list[str]:
        ends = self.denied[kind, name]
        lines = [] if ends[PASSED] else [f"{kind} has no '{name}', and no case saw that refused: {_told(ends)}"]
        if self.ran[kind, name]:
            lines.append(f"{kind} has no '{name}', and cases of it ran: {_told(self.ran[kind, name])}")
        return lines

    def table(self) -> list[str]:
        """Return a line per role with what was seen on each cloud: how many cases passed of how many, or no."""
        kinds = sorted({kind for kind, _name in (*self.ran, *self.denied)})
        rows = [[role.name, *(self._cell(kind, role.name) for kind in kinds)] for role in all_roles()]
        table = [["role", *kinds], *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        return ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in table]

    def _cell(self, kind: str, name: str) -> str:
        ran, denied = self.ran.get((kind, name)), self.denied.get((kind, name))
        if ran:
            return f"{ran[PASSED]} of {ran.total() - ran[SKIPPED]}"
        return "no" if denied and denied[PASSED] else "?"


def documented(page: str) -> dict[str, dict[str, bool]]:
    """Return by kind and name of a role what the table of a page says: the first table, of clouds and roles."""
    lines = page.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("| role |"))
    rows = [_cells(line) for line in lines[begin : lines.index("", begin)]]
    kinds = rows[0][1:-1]
    return {kind: {row[0]: row[1 + at] == "yes" for row in rows[2:]} for at, kind in enumerate(kinds)}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _told(ends: Counter[str]) -> str:
    return ", ".join(f"{count} {end}" for end, count in sorted(ends.items())) or "none ran"
