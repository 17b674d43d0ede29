"""Write the pages below docs/reference: `python -m tests.house.generate`."""

from __future__ import annotations

import sys

from tests.house.reference import pages
from tests.house.source import DOCS

COMMAND = ".venv/bin/python -m tests.house.generate"


def stale() -> list[str]:
    """Return the pages that do not say what the code does, and those that nothing makes any more."""
    made = pages()
    there = {
        str(file.relative_to(DOCS)): file.read_text(encoding="utf-8") for file in (DOCS / "reference").glob("*.md")
    }
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write() -> list[str]:
    """Bring the pages up to date and return those that changed."""
    made, changed = pages(), stale()
    for name in changed:
        file = DOCS / name
        if name not in made:
            file.unlink()
            continue
        file.parent.mkdir(exist_ok=True)
        file.write_text(made[name], encoding="utf-8")
    return changed


def main() -> int:
    """Write the pages and name those that changed."""
    for name in write():
        sys.stdout.write(f"docs/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
