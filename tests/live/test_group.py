"""A group of real VMs on this machine: booted together, reached by ssh and Ansible, scaled and deleted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images import provide
from tests.live.test_cms import Cms, virsh

pytestmark = pytest.mark.live

GROUP = f"crew-{os.getpid()}"
NODES = [f"{GROUP}-1", f"{GROUP}-2"]
ANSIBLE = Path(sys.executable).with_name("ansible")
LIMIT = 1200.0
"""Seconds for Ansible, whose modules a guest without hardware help compiles anew each time, on a loaded machine."""
QUICKLY = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3", "ANSIBLE_TIMEOUT": "120"}
"""One connection and one Python for each task."""
PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - shell: echo hello {{ inventory_hostname }} of {{ cms_group }} > /tmp/hello
"""


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with a home that has the micro image, and a group of two."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    runner.env |= QUICKLY
    try:
        made = runner.rows("group", "create", GROUP, "--size", "2", "--cloud", "local", "--image", "micro")
        assert [row["name"] for row in made] == [GROUP, *NODES]
        yield runner
    finally:
        runner("group", "delete", GROUP, "--yes")
        runner("sweep", "--cloud", "local", "--apply", "--yes")
    assert not [name for name in virsh("list", "--all", "--name").split() if name.startswith(GROUP)]


def ended(cms: Cms, *argv: str) -> str:
    """Run another program to its end, which must be good, and return what it printed."""
    done = subprocess.run(
        argv, env=cms.env, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def group(cms: Cms) -> dict[str, Any]:
    (found,) = cms.rows("group", "info", GROUP)
    return found


def test_the_group_is_there(cms: Cms) -> None:
    found = group(cms)
    assert (found["size"], found["vms"], found["cloud"], found["states"]) == (2, NODES, "local", {"running": 2})
    assert [row["name"] for row in cms.rows("vm", "list", "--group", GROUP)] == NODES


def test_ssh_reaches_a_member_by_the_config_of_its_group(cms: Cms, tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    file.write_text(cms("ssh-config", "--group", GROUP).stdout)
    assert ended(cms, "ssh", "-F", str(file), NODES[1], "hostname").strip() == NODES[1]


def test_ansible_pings_the_group_through_the_inventory(cms: Cms, tmp_path: Path) -> None:
    file = tmp_path / "inventory"
    file.write_text(cms("inventory", "--script", "--group", GROUP).stdout)
    file.chmod(0o755)
    told = json.loads(ended(cms, str(ANSIBLE.with_name("ansible-inventory")), "-i", str(file), "--list"))
    assert sorted(told["_meta"]["hostvars"]) == NODES
    assert told["state_running"]["hosts"] == NODES
    said = ended(cms, str(ANSIBLE), "-i", str(file), GROUP.replace("-", "_"), "-m", "ping", "--one-line")
    assert [name for name in NODES if f"{name} | SUCCESS" in said] == NODES
    assert said.count("pong") == 2


def test_a_playbook_runs_on_the_group(cms: Cms, tmp_path: Path) -> None:
    playbook = tmp_path / "site.yaml"
    playbook.write_text(PLAYBOOK)
    said = cms("ansible", str(playbook), "--group", GROUP, limit=LIMIT).stdout
    assert said.count("changed=1") == 2
    assert cms("ssh", NODES[0], "--", "cat /tmp/hello").stdout == f"hello {NODES[0]} of {GROUP}\n"
    playbook.write_text(PLAYBOOK.replace("shell", "no_such_module"))
    assert cms("ansible", str(playbook), "--group", GROUP, "--on", NODES[0], code=4, limit=LIMIT)


def test_a_group_becomes_smaller_and_larger(cms: Cms) -> None:
    cms("group", "scale", GROUP, "1", "--yes")
    assert group(cms)["size"] == 1
    assert len([name for name in virsh("list", "--name").split() if name.startswith(GROUP)]) == 1
    cms("group", "scale", GROUP, "2")
    assert group(cms)["states"] == {"running": 2}
