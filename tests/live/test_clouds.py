"""Several clouds in one list: real machines here, a pretended AWS, and a cloud that is dead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.libvirt import host
from tests.aws.emulator import Lab
from tests.images import provide
from tests.live.aws import IMAGE, Aws
from tests.live.openstack import cms as openstack
from tests.live.openstack.accounts import Account
from tests.live.several import account

pytestmark = pytest.mark.live


class Clouds(Aws):
    """`cms` with a cloud of every kind that is there, each with a default image of its own, and `dead`."""

    def __init__(self, lab: Lab, home: Path, label: str, account: Account | None) -> None:
        provide("micro", home)
        dead: dict[str, Any] = {
            **lab.settings(),
            "default": {"location": "us-east-1", "image": IMAGE},
            "options": {"endpoint": "http://127.0.0.1:9", "max_retries": 0, "connect_timeout": 1},
        }
        dead["cm"] = {"kind": "aws", "active": False}
        local = {"cm": {"kind": "libvirt", "active": True}, "default": {"image": "micro", "wait": "running"}}
        more = {"openstack": openstack.settings(account)} if account else {}
        super().__init__(lab, home, local=local, dead=dead, **more)
        self("set", f"image={IMAGE}", "--cloud", "aws")
        self.there = ["local", "aws", *more]
        self.label = label

    def booted(self, *more: str, code: int = 0) -> list[dict[str, Any]]:
        """Boot on the clouds that are there, or on those of `--cloud`, and return the VMs."""
        chosen = () if "--cloud" in more else ("--cloud", ",".join(self.there))
        done = self("vm", "boot", *chosen, "--label", self.label, *more, "-o", "json", code=code)
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def labelled(self, *words: str, code: int = 0) -> dict[str, str]:
        """Return by name the state of all VMs with the label after a command on them."""
        done = self("vm", *words, "--label", self.label, "-o", "json", code=code)
        return {row["name"]: row["state"] for row in json.loads(done.stdout)}


@pytest.fixture
def clouds(aws: Lab, tmp_path: Path) -> Iterator[Clouds]:
    """Return the clouds that are there, on which nothing is left in the end."""
    with account() as openstack_of:
        cms = Clouds(aws, tmp_path, f"test=clouds-{tmp_path.name}", openstack_of[1] if openstack_of else None)
        yield cms
        rows = cms.rows("vm", "list", "--cached", "--label", cms.label)
        local = [row["name"] for row in rows if row["cloud"] == "local"]
        cms("vm", "delete", *local, "--cloud", "local", "--yes", "--missing-ok") if local else None
        cms.told_no_secret()
        left = openstack_of[0].left(openstack_of[1]) if openstack_of else []
        assert not [thing for thing in left if thing.startswith(("server", "port", "address", "volume"))]


def test_one_command_boots_on_every_cloud_that_is_there(clouds: Clouds) -> None:
    made = clouds.booted("--count", "2")
    assert sorted(vm["cloud"] for vm in made) == sorted(clouds.there * 2)
    assert {vm["state"] for vm in made} == {"running"}
    assert {vm["image"] for vm in made if vm["cloud"] == "local"} == {"micro"}
    names = sorted(vm["name"] for vm in made)
    assert len(set(names)) == len(made)
    assert sorted(clouds.labelled("list")) == names
    one = clouds.rows("vm", "list", "--cloud", "aws,dead,aws", "--cached", "--label", clouds.label)
    assert {vm["cloud"] for vm in one} == {"aws"}
    assert set(clouds.labelled("stop", "--timeout", "1").values()) == {"stopped"}
    assert set(clouds.labelled("start").values()) == {"running"}
    assert sorted(clouds.labelled("delete", "--yes")) == names
    assert clouds.lab.things("instance", "volume") == []
    assert clouds.labelled("list") == {}


def test_words_that_not_all_clouds_know_are_refused_before_anything(clouds: Clouds) -> None:
    told = clouds.fails(3, "vm", "boot", "micro", "--cloud", "local,aws", "--label", clouds.label)
    assert "cloud 'aws' has no image 'micro'" in told
    assert "local" not in told.splitlines()[0]
    assert "leave the image out" in told
    told = clouds.fails(3, "vm", "boot", IMAGE, "--cloud", "local,aws", "--flavor", "t3.micro")
    assert "cloud 'local' has no image" in told
    assert "cloud 'local' has no flavor 't3.micro'" in told
    assert clouds.rows("vm", "list", "--cached") == []
    assert clouds.lab.calls("RunInstances") == []


def test_a_dead_cloud_is_named_and_the_others_are_booted_and_deleted(clouds: Clouds) -> None:
    names = {vm["name"] for vm in clouds.booted("--cloud", ",".join([*clouds.there, "dead"]), code=12)}
    errors = [line for line in clouds.printed[-1].splitlines() if '"kind": "error"' in line or "error" in line]
    assert any("dead" in line for line in errors)
    states = clouds.labelled("list", "--cloud", ",".join(clouds.there))
    assert set(states) == names
    assert set(states.values()) == {"running"}
    assert set(clouds.labelled("delete", "--yes", code=12)) == names, "what dead has with the label nobody knows"
    assert "dead" in clouds.printed[-1]
    assert clouds.labelled("list", "--cloud", ",".join(clouds.there)) == {}


def test_libvirt_aws_and_a_dead_cloud_answer_as_far_as_they_can(aws: Lab, tmp_path: Path) -> None:
    provide("micro", tmp_path)
    dead: dict[str, Any] = {
        "cm": {"kind": "aws", "active": True},
        "default": {"location": "us-east-1"},
        "options": {"endpoint": "http://127.0.0.1:9", "max_retries": 0, "connect_timeout": 1},
        "credentials": dict(aws.credentials),
    }
    cms = Aws(aws, tmp_path, local={"cm": {"kind": "libvirt", "active": True}}, dead=dead)
    name = f"it-three-{tmp_path.name}"
    uri = host.default_uri()
    assert uri
    try:
        cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--wait", "running")
        cms.boot("web", "--cloud", "aws")
        done = cms("vm", "list", "--refresh", "-o", "json", code=12)
        found = {row["name"]: row["cloud"] for row in json.loads(done.stdout)}
        assert {name: "local", "web": "aws"}.items() <= found.items()
        told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
        errors = [line for line in told if line["kind"] == "error" and line["code"] != "partial"]
        assert [(line["cloud"], line["code"], bool(line["hint"])) for line in errors] == [("dead", "not_ready", True)]
        table = cms("vm", "list", "--refresh", code=12)
        assert len([line for line in table.stderr.splitlines() if line.startswith("error: dead")]) == 1
    finally:
        cms("vm", "delete", name, "--cloud", "local", "--yes", "--missing-ok")
    cms.told_no_secret()
