"""Every generation of the ancestors' file, as data: see tests/cases/config."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Config

CASES = Path(__file__).parents[2] / "cases" / "config"
GENERATIONS = sorted(folder.name for folder in CASES.iterdir() if folder.is_dir())


@pytest.fixture(params=GENERATIONS)
def generation(request: pytest.FixtureRequest, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put one generation's files where a person has them."""
    shutil.copytree(CASES / request.param, own_home / ".cloudmesh", ignore=shutil.ignore_patterns("expected.json"))
    monkeypatch.setenv("LAB_KEY", "ada-key")
    monkeypatch.setenv("LAB_TOKEN", "lab-token")
    name: str = request.param
    return name


@pytest.fixture
def expected(generation: str, own_home: Path) -> dict[str, Any]:
    """Return what must come out."""
    text = (CASES / generation / "expected.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text.replace('"home/', f'"{own_home}/'))
    return found


def test_clouds(expected: dict[str, Any]) -> None:
    found = {cloud.name: cloud for cloud in Config().clouds()}
    assert list(found) == list(expected["clouds"])
    for name, wanted in expected["clouds"].items():
        cloud = found[name]
        assert (cloud.kind, cloud.state, cloud.active) == (wanted["kind"], wanted["state"], wanted["state"] == "active")
        assert {key: cloud.default.get(key) for key in wanted["default"]} == wanted["default"]
        assert cloud.reveal() == wanted["credentials"]
        assert {key: cloud.option(key) for key in wanted.get("options", {})} == wanted.get("options", {})


def test_the_cached_copy_is_the_same(expected: dict[str, Any]) -> None:
    first = Config()
    before = first.clouds(), first.default_cloud(), first.warnings, first.data
    second = Config()
    assert (second.clouds(), second.default_cloud(), second.warnings, second.data) == before
    for name, wanted in expected["clouds"].items():
        assert second.cloud(name).reveal() == wanted["credentials"]


def test_values_and_default_cloud(expected: dict[str, Any]) -> None:
    config = Config()
    assert config.default_cloud() == expected["default_cloud"]
    assert {key: config.get(key) for key in expected["values"]} == expected["values"]
    assert {key: config[key] for key in expected["values"]} == expected["values"]


def test_warnings(expected: dict[str, Any]) -> None:
    found = Config().warnings
    assert [finding.line for finding in found] == [line for line, _, _ in expected["warnings"]]
    for finding, (_, key, close) in zip(found, expected["warnings"], strict=True):
        assert f"'{key}'" in finding.message
        assert finding.hint == f"did you mean '{close}'?"
        assert finding.level == "warning"


def test_no_credential_leaves_the_file(expected: dict[str, Any], own_home: Path) -> None:
    config = Config()
    shown = [json.dumps(config.masked()), repr(config.clouds()), json.dumps([c.to_document() for c in config.clouds()])]
    shown += [repr(config.data), json.dumps(config.data), json.dumps([f.to_public() for f in config.check()])]
    cached = list((own_home / ".cloudmesh" / "cache").glob("*.json"))
    assert len(cached) == 1
    assert cached[0].stat().st_mode & 0o777 == 0o600
    shown.append(cached[0].read_text(encoding="utf-8"))
    for secret in _secrets(expected):
        assert all(secret not in text for text in shown), secret


def _secrets(expected: dict[str, Any]) -> list[str]:
    """Return every value of a credential that cannot stand in the file for another reason as well."""
    common = (
        "Default",
        "True",
        "default",
        "admin",
        "ada",
        "2",
        "3",
        "localhost",
        "public",
        "lab-token",
        "cloudmesh",
        "liberty",
    )
    found: list[str] = ["hunter2hunter2", "mongo-password", "uri-password"]
    for cloud in expected["clouds"].values():
        for value in cloud["credentials"].values():
            found += [str(item) for item in (value.values() if isinstance(value, dict) else [value])]
    return [value for value in found if value not in common and ".ssh" not in value]


def test_checks_do_not_fail(expected: dict[str, Any]) -> None:
    found = Config().check(nouns={"vm", "image"})
    assert all(finding.message and finding.level in ("error", "warning", "info") for finding in found)
    assert [f.level for f in found] == sorted((f.level for f in found), key=["error", "warning", "info"].index)


def test_figure_4_is_read_with_its_dots(own_home: Path) -> None:
    shutil.copytree(CASES / "figure-4", own_home / ".cloudmesh")
    config = Config()
    assert config.cloud("aws").default == {
        "image": "IMAGE ID", "size": "SIZE ID", "flavor": "SIZE ID", "location": "LOCATION",
    }  # fmt: skip
    found = {(finding.line, finding.level): finding.message for finding in config.check()}
    assert found[7, "info"] == "a line of dots was skipped"
    assert "sample text" in found[5, "warning"]
    assert "secret-like" not in str(found)
