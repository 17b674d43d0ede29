"""The tutorial on scaling, typed as it stands there: from two machines to a scaled service, on real VMs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images import provide
from tests.live.test_tutorial import Reader

pytestmark = pytest.mark.live

PAGE = Path(__file__).parent.parent.parent / "docs" / "tutorial-autoscale.md"
CLEAN = """\
kill $(jobs -p) || true
cms group delete plates --yes -q || true
cms vm delete vm-1 vm-2 --yes --missing-ok -q || true
cms sweep --cloud local --apply --yes -q || true
"""


@pytest.fixture
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Return a reader who has nothing but the image; nothing of theirs is left."""
    home = tmp_path_factory.mktemp("reader")
    home.chmod(0o700)
    provide("micro", home)
    made = Reader(home)
    yield made
    made.types(CLEAN)


def test_the_tutorial_works_as_it_stands(reader: Reader) -> None:
    boxes = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(boxes) >= 7
    told = reader.types("set -m\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(boxes))
    assert "grows from 1 to 2 members: busy was" in told
    assert re.search(r"shrinks from 2 to 1 member, without vm-[12]", told)
    assert re.search(r"^\S+ +yes +(\d+) +\1 ", told, re.MULTILINE), "every request was answered exactly once"
    assert "members, 1 to 2" in told
    assert not set(reader.types("cms vm list -o name; cms group list -o name").split()) & {"vm-1", "vm-2", "plates"}
