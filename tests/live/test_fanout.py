"""Fan-out over real SSH: one sshd as many hosts, and hosts that are broken in every way we know of."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.live import sshd

pytestmark = [pytest.mark.live, pytest.mark.services]

Scenario = Callable[[str], dict[str, Any]]


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """Return a function that runs a scenario beside its hosts, with a home of its own."""
    if why := sshd.missing():
        pytest.skip(f"there are no hosts here: {why}")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SSH_", "CLOUDMESH"))},
        "HOME": str(tmp_path / "home"),
        "HOSTS_FOLDER": str(tmp_path),
    }
    (tmp_path / "home").mkdir(exist_ok=True)

    def run(name: str) -> dict[str, Any]:
        words = sshd.words(tmp_path, "-m", "tests.live.fanout_inside", name)
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=1200, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return run


def test_broken_hosts_have_one_record_each_and_trouble_no_other(scenario: Scenario) -> None:
    found = scenario("faults")
    records = {record["name"]: record for record in found["records"]}
    assert len(found["records"]) == len(records) == 31
    told = {name: (r["state"], r["error"].get("code")) for name, r in records.items() if not name.startswith("good")}
    assert told == {
        "hangs": ("unreached", "not_ready"),
        "refuses": ("unreached", "not_ready"),
        "resets": ("unreached", "not_ready"),
        "changed": ("unreached", "denied"),
        "no-key": ("unreached", "denied"),
        "floods": ("done", None),
        "crashes": ("signalled", None),
        "full-there": ("failed", None),
        "full-here": ("failed", "no_capacity"),
        "stalls": ("timeout", "timeout"),
        "breaks": ("unreached", "not_ready"),
    }
    assert records["crashes"]["signal"] == "SEGV"
    assert (records["floods"]["stdout_bytes"], len(records["floods"]["stdout"])) == (1_000_000_000, 16384)
    assert 10_000_000 <= found["kept"] < 10_000_100
    assert "no space left" in records["full-there"]["stderr"].lower()
    assert (records["full-here"]["exit"], records["full-here"]["stdout_bytes"]) == (0, 9_000_000)
    assert records["breaks"]["error"]["details"] == {"began": True}
    assert {r["stdout"] for name, r in records.items() if name.startswith("good")} == {f"{n}\n" for n in range(20)}
    assert found["grown"] < 60, f"a flood of a gigabyte took {found['grown']} MiB"
    assert found["left"] <= 1, "what was stopped at its deadline still runs"  # the broken one's may go on


def test_a_frozen_server_costs_its_own_command_only(scenario: Scenario) -> None:
    found = scenario("frozen")
    assert found["second"]["state"] in ("timeout", "unreached")
    assert found["third"]["state"] == "done"
    assert found["another"]


def test_connections_are_kept_and_made_anew_when_they_were_cut(scenario: Scenario) -> None:
    assert scenario("kept") == {"same": True, "again": True, "new": True, "pins": 10}


def test_bastions_are_those_of_the_host_or_of_the_persons_ssh_config(scenario: Scenario) -> None:
    found = scenario("bastion")
    sources = [record["stdout"].split()[0] for record in found["told"]]
    assert len(sources) == 3
    assert [record["state"] for record in (*found["told"], found["config"], found["direct"])] == ["done"] * 5
    assert found["unknown"]["error"]["code"] == "denied"


def test_files_and_folders_go_both_ways_and_a_full_disk_is_told(scenario: Scenario) -> None:
    found = scenario("files")
    told = {name: (record["state"], record["error"].get("code")) for name, record in found["records"].items()}
    assert told == {
        "put": ("done", None),
        "get": ("done", None),
        "put-folder": ("done", None),
        "get-folder": ("done", None),
        "again-folder": ("done", None),
        "put-full": ("failed", "no_capacity"),
        "get-full": ("failed", "no_capacity"),
        "get-none": ("failed", "not_found"),
        "put-on-folder": ("failed", None),
        "put-home": ("done", None),
    }
    assert found["same"]
    assert found["mode"] == 0o750
    assert found["tree"] == ["big", "tree", "tree/in", "tree/sub", "tree/sub/a b"]
    assert found["full"] == []
    assert found["text"] == "text"
    assert "out" in found["records"]["get-folder"]["stderr"]


def test_what_runs_is_ended_on_request_and_the_rest_not_begun(scenario: Scenario) -> None:
    found = scenario("stopped")
    assert sorted(found["states"]) == ["cancelled"] * 3 + ["skipped"] * 3
    assert found["left"] == 0


def test_a_hundred_hosts_twice(scenario: Scenario) -> None:
    found = scenario("many")
    assert (found["ok"], found["pins"]) == ([100, 100], 100)


def test_members_are_measured_over_ssh(scenario: Scenario) -> None:
    found = scenario("scaling")
    assert [each[:2] for each in found["first"]] == [["memory", "h1"], ["memory", "h2"]]
    assert [each[:2] for each in found["second"]] == [["cpu", "h1"], ["cpu", "h2"], ["memory", "h1"], ["memory", "h2"]]
    assert all(0 < value <= 100 for _metric, _member, value in found["first"] + found["second"])
    assert min(value for metric, _member, value in found["second"] if metric == "cpu") > 60
    assert found["silent"][0] == 0
    assert found["silent"][1].startswith("ssh: no member answers over SSH (refuses: ")
