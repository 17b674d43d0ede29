"""Taking a section out of the file changes not one byte more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Config
from cloudms.errors import CloudmsError, NotFound

CASES = json.loads((Path(__file__).parents[2] / "cases/config-edit/cuts.json").read_text(encoding="utf-8"))


@pytest.fixture
def file(own_home: Path) -> Path:
    """Return where the configuration file stands."""
    (own_home / ".cloudmesh").mkdir(mode=0o700)
    return own_home / ".cloudmesh" / "cloudmesh.yaml"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_remove(case: dict[str, Any], file: Path) -> None:
    before = "\n".join(case["before"])
    file.write_bytes(before.encode())
    config = Config()
    if "error" in case:
        with pytest.raises(CloudmsError) as caught:
            config.remove(case["key"])
        assert case["error"] in caught.value.message
        assert caught.value.hint
        assert file.read_bytes() == before.encode()
        return
    config.remove(case["key"])
    assert file.read_bytes().decode() == "\n".join(case["after"])
    assert file.stat().st_mode & 0o777 == 0o600
    assert case["key"].rpartition(".")[2] not in config.by_name()


@pytest.mark.usefixtures("own_home")
def test_without_a_file_there_is_nothing_to_take_out() -> None:
    with pytest.raises(NotFound, match="no configuration file"):
        Config().remove("cloud.a")


def test_several_values_are_written_together_or_not_at_all(file: Path) -> None:
    file.write_text("cloudmesh:\n  default:\n    cloud: local\n")
    config = Config()
    with pytest.raises(CloudmsError):
        config.change({"cloud.a.cm.kind": "fake", "default": "x"})
    assert file.read_text() == "cloudmesh:\n  default:\n    cloud: local\n"
    config.change({"cloud.a.cm.kind": "fake", "cloud.a.default.image": "micro"})
    assert config.cloud("a").default["image"] == "micro"
