"""The configuration file through its verbs: shown without secrets, changed in one place, checked with an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.formats import public
from cloudms.errors import Invalid, NotFound
from tests.unit.verbs.conftest import CONFIG, Call, events, outcome


@pytest.fixture
def file(ctx: Context) -> Path:
    """Return the configuration file."""
    assert ctx.config.path
    return ctx.config.path


def test_path_names_the_file_even_before_there_is_one(call: Call, file: Path) -> None:
    assert call("config path") == str(file)
    file.unlink()
    assert call("config path") == str(file)


def test_cat_and_get_mask_secrets(ctx: Context, call: Call) -> None:
    ctx.config.set("cloud.aws.credentials.EC2_SECRET_KEY", "hunter2")
    shown = call("config cat")
    assert shown["cloudmesh"]["cloud"]["aws"]["credentials"] == {"EC2_ACCESS_ID": "TBD", "EC2_SECRET_KEY": "******"}
    assert call("config get", "cloud.aws.credentials.EC2_SECRET_KEY") == "******"
    assert "hunter2" not in json.dumps([public(shown), public(call("config get", "cloud.aws"))])


def test_get_is_the_value_in_effect(call: Call) -> None:
    assert call("config get", "default.cloud") == "one"
    assert call("config get", "cloudmesh.cloud.one.default.image") == "micro"
    assert call("config get", "cloud.one.cm.active") == "true"
    assert call("config get", "cloud.one")["default"] == {"image": "micro", "flavor": "small"}
    call("set", ["cloud=two"])
    assert call("config get", "default.cloud") == "two"


def test_get_names_the_nearest_key(call: Call) -> None:
    with pytest.raises(NotFound) as caught:
        call("config get", "cloud.one.default.imag")
    assert "cloud.one.default.image" in caught.value.hint


@pytest.mark.parametrize("words", [["cloud.one.default.image=debian"], ["cloud.one.default.image", "debian"]])
def test_set_changes_one_value_and_keeps_every_other_byte(
    ctx: Context, call: Call, file: Path, words: list[str]
) -> None:
    operation = call("config set", words)
    assert outcome(operation)["value"] == "debian"
    assert file.read_text() == CONFIG.replace("{image: micro,", "{image: debian,")
    assert ctx.config.cloud("one").default["image"] == "debian"
    assert events(ctx) == ["config.set cloud.one.default.image: set to debian"]


def test_values_keep_their_type(call: Call, file: Path) -> None:
    call("config set", ["cloud.local.cm.active=true", "default.trace=false", "x-n=12", "x-v=08", "x-none=null"])
    text = file.read_text()
    assert "cm: {active: true, kind: libvirt}" in text
    assert "trace: false" in text
    assert "x-n: 12\n" in text
    assert "x-v: '08'\n" in text or "x-v: 08\n" in text
    assert "x-none: null\n" in text


def test_a_secret_in_clear_is_refused_and_a_reference_is_written(ctx: Context, call: Call, file: Path) -> None:
    key = "cloud.aws.credentials.EC2_SECRET_KEY"
    with pytest.raises(Invalid, match="not written in clear") as caught:
        call("config set", [f"{key}=hunter2"])
    assert "env:NAME" in caught.value.hint
    assert "hunter2" not in str(caught.value.to_public()) + file.read_text()
    assert ctx.catalog.find("operation") == []
    call("config set", [f"{key}=env:MY_KEY"])
    assert "EC2_SECRET_KEY: env:MY_KEY" in file.read_text()


def test_a_dry_run_writes_nothing(call: Call, file: Path) -> None:
    plan = call("config set", ["default.cloud=two"], dry_run=True)
    assert plan.summary == f"write default.cloud = two into {file}"
    assert file.read_text() == CONFIG


def test_check_yields_findings_and_ends_with_an_error_when_one_is(call: Call, file: Path) -> None:
    found: list[Any] = list(call("config check"))
    assert {finding["level"] for finding in found} <= {"warning", "info"}
    assert all(finding["kind"] == "finding" for finding in found)
    assert any("strange" in finding["message"] for finding in found)
    file.write_text("cloudmesh:\n  cloud:\n    vm:\n      cm: {kind: fake}\n    bad: 3\n")
    found = []
    with pytest.raises(Invalid, match="2 errors"):
        for finding in call("config check"):
            found.append(finding)
    assert [finding["level"] for finding in found[:2]] == ["error", "error"]
    assert {"'vm' is a word" in f["message"] or "bad is not a section" in f["message"] for f in found[:2]} == {True}
