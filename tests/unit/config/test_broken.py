"""Files that cannot be read: file and line are named, the nearest key too, and nothing of the content."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Config
from cloudms.errors import ConfigError

CASES = json.loads((Path(__file__).parents[2] / "cases/config-broken/cases.json").read_text(encoding="utf-8"))


@pytest.fixture
def file(own_home: Path) -> Path:
    """Return where the configuration file stands."""
    (own_home / ".cloudmesh").mkdir()
    return own_home / ".cloudmesh" / "cloudmesh.yaml"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_malformed(case: dict[str, Any], file: Path) -> None:
    file.write_text(case["text"], encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Config().clouds()
    assert caught.value.message.startswith(f"{file}:{case['line']}: ")
    assert case["says"] in caught.value.message
    assert case["hint"] in caught.value.hint
    assert caught.value.details == {"file": str(file), "line": case["line"]}
    assert "hidden" not in str(caught.value.to_public())
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_check_reports_it_instead(case: dict[str, Any], file: Path) -> None:
    file.write_text(case["text"], encoding="utf-8")
    found = Config().check()
    assert [(finding.level, finding.file, finding.line) for finding in found] == [("error", str(file), case["line"])]
    assert case["says"] in found[0].message


def test_a_folder(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match=f"{file} cannot be read: Is a directory"):
        Config().clouds()


def test_no_permission(file: Path) -> None:
    file.write_text("cloudmesh: {}\n")
    file.chmod(0)
    if os.access(file, os.R_OK):  # root reads everything; what a link to nowhere gives is the same path in the code
        file.unlink()
        file.symlink_to("nowhere")
    with pytest.raises(ConfigError, match=f"{file} cannot be read: ") as caught:
        Config().clouds()
    assert caught.value.hint


def test_not_utf8(file: Path) -> None:
    file.write_bytes(b"cloudmesh:\n  profile:\n    lastname: M\xfcller\n")
    with pytest.raises(ConfigError, match=f"{file}:3: this is not UTF-8 text"):
        Config().clouds()


def test_a_device_is_no_file() -> None:
    with pytest.raises(ConfigError, match="not a configuration file"):
        Config("/dev/null").clouds()


def test_too_large(file: Path) -> None:
    file.write_bytes(b"# \n" * 1_500_000)
    with pytest.raises(ConfigError, match="not a configuration file"):
        Config().clouds()


def test_a_chosen_file_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDMESH_CONFIG", str(tmp_path / "other.yaml"))
    with pytest.raises(ConfigError, match=r"other\.yaml cannot be read: No such file") as caught:
        Config().clouds()
    assert "CLOUDMESH_CONFIG" in caught.value.hint


def test_many_aliases_do_not_eat_the_memory(file: Path) -> None:
    lines = ["cloudmesh:", "  a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match="more than 100,000 values"):
        Config().clouds()


def test_deep_nesting(file: Path) -> None:
    file.write_text("cloudmesh: " + "[" * 3000 + "]" * 3000 + "\n")
    with pytest.raises(ConfigError, match=r"nested too deeply|not YAML"):
        Config().clouds()


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "---\n", "cloudmesh:\n", "meta: {kind: clouds}\n", "cloudmesh: TBD\n"]
)
def test_hardly_anything_is_enough(text: str, file: Path) -> None:
    file.write_text(text)
    config = Config()
    assert [(cloud.name, cloud.kind) for cloud in config.clouds()] == [("local", "libvirt")]
    assert config.default_cloud() == "local"
    assert config.get("default.cloud") == "local"


@pytest.mark.parametrize(
    "text",
    [
        "cloudmesh:\n  cloud: [a]\n",
        "cloudmesh:\n  cloud:\n    aws: TBD\n",
        "cloudmesh:\n  cloud:\n    aws: {cm: missing, default: x, credentials: y, kind: aws}\n",
        "cloudmesh:\n  default: x\n  cloud: {aws: {cm: {active: maybe, kind: aws}}}\n",
        "cloudmesh:\n  active: yes\n  alias: x\n  profile: y\n  security: z\n",
    ],
)
def test_wrong_shapes_are_findings(text: str, file: Path) -> None:
    file.write_text(text)
    config = Config()
    assert config.cloud("local").kind == "libvirt"
    config.aliases()
    assert all(finding.line for finding in config.check() if finding.level == "error")


def test_a_named_pipe_in_its_place_is_refused_at_once(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="is not a configuration file"):
        Config().clouds()
