"""Figure 1 of the paper on cloudmesh's AWS commands, typed at a terminal over a pretended AWS and a real OpenStack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.aws.emulator import Lab
from tests.live.aws import IMAGE
from tests.live.openstack import cms as lab_cms
from tests.live.openstack.accounts import Account
from tests.live.openstack.lab import Lab as OpenStack
from tests.live.several import openstack
from tests.live.test_shell import CMS, Terminal

pytestmark = [pytest.mark.live, pytest.mark.services]

FIGURE = """\
set default cloud=aws
vm boot
set default cloud=openstack
vm boot
"""


class Desk:
    """A person with an account on both clouds, and what stands there."""

    def __init__(self, aws: Lab, lab: OpenStack, account: Account, home: Path) -> None:
        self.aws, self.lab, self.account = aws, lab, account
        one = {**aws.settings(), "default": {"location": "us-east-1", "image": IMAGE, "size": "t3.micro"}}
        clouds = {"local": {"cm": {"active": False}}, "aws": one, "openstack": lab_cms.settings(account)}
        folder = home / ".cloudmesh"
        folder.mkdir(mode=0o700)
        file = folder / "cloudmesh.yaml"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"cloudmesh": {"profile": {"user": "ada"}, "cloud": clouds}}))
        more = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1", "SHELL": "/bin/sh", "LOGNAME": "ada"}
        self.env = {**os.environ, **more}

    def cms(self, *words: str) -> str:
        """Return what a command of its own process prints."""
        done = subprocess.run(
            [sys.executable, "-m", "cloudms", *words],
            env=self.env, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def standing(self) -> list[tuple[str, str]]:
        """Return cloud and state of every VM, as cms tells them."""
        rows = json.loads(self.cms("vm", "list", "--refresh", "-o", "json"))
        return sorted((row["cloud"], row["state"]) for row in rows)

    def counts(self) -> tuple[int, int]:
        """Return how many VMs the clouds themselves have."""
        return len(self.aws.things("instance")), len(self.lab.things(self.account, "server"))


@pytest.fixture
def desk(aws: Lab, own_home: Path) -> Iterator[Desk]:
    """Return a person with an account on both clouds, where nothing is left in the end."""
    with openstack() as (lab, account):
        found = Desk(aws, lab, account, own_home)
        yield found
        for cloud in ("aws", "openstack"):
            names = [row["name"] for row in json.loads(found.cms("vm", "list", "--cloud", cloud, "-o", "json"))]
            found.cms("vm", "delete", *names, "--yes", "--missing-ok")
        lab.settle(account)
        assert found.counts() == (0, 0)


def test_the_figure_as_printed_over_aws_and_openstack(desk: Desk) -> None:
    terminal = Terminal(desk.env)
    try:
        terminal.child.timeout = 120
        terminal.ready()
        shown = {number: terminal(line) for number, line in enumerate(FIGURE.splitlines())}
        assert not [text for text in shown.values() if "error" in text]
        assert "default.cloud" in shown[0]
        for number, cloud, flavor in ((1, "aws", "t3.micro"), (3, "openstack", lab_cms.FLAVOR)):
            (row,) = (line.split() for line in shown[number].splitlines() if f" {cloud} " in line)
            assert row[0].startswith(f"ada-{cloud}-")
            assert row[1:3] == [cloud, "running"]
            assert flavor in row
        assert "openstack" in terminal("default cloud -o csv")
        assert terminal.leave() == 0
    finally:
        terminal.child.close(force=True)
    assert desk.standing() == [("aws", "running"), ("openstack", "running")]
    assert desk.counts() == (1, 1)


def test_the_figure_as_a_script_and_with_one_word_more_on_the_command_line(desk: Desk, tmp_path: Path) -> None:
    script = tmp_path / "figure.cms"
    script.write_text(FIGURE)
    subprocess.run([*CMS, str(script)], env=desk.env, timeout=300, check=True, capture_output=True)
    assert desk.counts() == (1, 1)
    for line in FIGURE.splitlines():
        desk.cms(*line.split())
    assert desk.standing() == [("aws", "running")] * 2 + [("openstack", "running")] * 2
    both = json.loads(desk.cms("vm", "boot", "--cloud", "aws,openstack", "-o", "json"))
    assert sorted(row["cloud"] for row in both) == ["aws", "openstack"]
    assert desk.counts() == (3, 3)
