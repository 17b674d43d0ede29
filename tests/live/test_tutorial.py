"""The tutorial on experiments, typed as it stands there: from nothing to tables of results, on real VMs."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import provide

pytestmark = pytest.mark.live

PAGE = Path(__file__).parent.parent.parent / "docs" / "tutorial-experiment.md"
LIMIT_S = 1200


class Reader:
    """Somebody who types the boxes of a page into one terminal, and whose `cms` is this checkout's."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "work"
        self.folder.mkdir(mode=0o700)
        words = home / "bin"
        words.mkdir(mode=0o700)
        (words / "cms").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cloudms "$@"\n')
        (words / "cms").chmod(0o700)
        self.env = {
            **os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh"), "COLUMNS": "200",
            "PATH": f"{words}:{os.environ['PATH']}",
        }  # fmt: skip

    def types(self, text: str) -> str:
        """Run lines of a shell, which ends where one fails, and return what they printed; all is shown on failure."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "bug in cloudms" not in done.stderr
        return done.stdout


@pytest.fixture
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader who has nothing but the image, which takes minutes to build; nothing of theirs is left."""
    home = tmp_path_factory.mktemp("reader")
    home.chmod(0o700)
    provide("micro", home)
    made = Reader(home)
    yield made
    made.types("cms experiment cancel --label none=none -q || true; cms group delete lab --yes -q || true")
    made.types("cms sweep --cloud local --apply --yes -q || true")


def boxes() -> list[str]:
    """Return what the page has its readers type."""
    return re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_tutorial_works_as_it_stands(reader: Reader) -> None:
    told = reader.types("\n".join(boxes()))
    assert "would run pi: 12 tasks on 2 new nodes of micro" in told
    with (reader.folder / "pi" / "results" / "results.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert [(row["darts"], row["repeat"]) for row in rows] == [
        (darts, str(repeat)) for darts in ("100", "1000", "10000") for repeat in (1, 2, 3, 4)
    ]
    assert all(row["status"] == "done" and abs(float(row["pi"]) - 3.14) < 1 for row in rows)
    assert len({row["node"] for row in rows}) == 2
    assert "10000 darts: pi is about " in told
    assert re.search(r"^N +ERROR MEAN\n4 +0\.\d+$", told, re.MULTILINE)
    assert "ValueError: invalid literal for int() with base 10: 'none'" in told
    assert reader.types("cms experiment list -o name") == ""
    left = set(reader.types("cms vm list -o name; cms group list -o name").split())
    assert not left & {"pi-node-1", "pi-node-2", "lab", "lab-1", "lab-2"}, "the tutorial cleans up behind itself"
