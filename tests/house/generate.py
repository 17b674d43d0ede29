"""Write the pages below docs/reference and the pictures of docs/images: `python -m tests.house.generate`."""

from __future__ import annotations

import sys

from tests.house.pictures import FOLDER, pictures
from tests.house.reference import pages
from tests.house.source import DOCS

COMMAND = ".venv/bin/python -m tests.house.generate"


def stale() -> list[str]:
    """Return the files that do not say what the code does, and those that nothing makes any more."""
    made = {**pages(), **pictures()}
    files = [*(DOCS / "reference").glob("*.md"), *(DOCS / FOLDER).glob("*.svg")]
    there = {str(file.relative_to(DOCS)): file.read_text(encoding="utf-8") for file in files}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write() -> list[str]:
    """Bring the files up to date and return those that changed."""
    made, changed = {**pages(), **pictures()}, stale()
    for name in changed:
        file = DOCS / name
        if name not in made:
            file.unlink()
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made[name], encoding="utf-8")
    return changed


def main() -> int:
    """Write the files and name those that changed."""
    for name in write():
        sys.stdout.write(f"docs/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
