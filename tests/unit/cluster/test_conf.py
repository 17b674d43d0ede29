"""What Slurm's files say for a cluster, and the script of a hook."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from cloudms.cluster import conf
from cloudms.cluster.conf import Place
from cloudms.model import Cluster

POOL = {"cloud": "local", "image": "micro-slurm", "flavor": "tiny", "cpus": 1, "memory_mib": 256, "together": False}
AWAY = {"cloud": "aws", "image": "debian", "flavor": "t3.small", "cpus": 2, "memory_mib": 2048, "together": True}
PLACE = Place(folder=Path("/home/ada/.cloudmesh/clusters/lab"), host="desk", uid=1000)


def cluster(**facts: Any) -> Cluster:
    """Return a cluster of three nodes on this machine."""
    pools = ({**POOL, "first": 1, "last": 3},)
    own: dict[str, Any] = {
        "name": "lab",
        "pools": pools,
        "idle": 300.0,
        "boot_timeout": 600.0,
        "port": 20001,
        "node_port": 20002,
        "max": 3,
    }
    return Cluster(**{**own, **facts})


def read(text: str) -> dict[str, str]:
    """Return a slurm.conf as a mapping; lines of nodes and partitions by their first word."""
    return dict(line.split("=", 1) for line in text.splitlines())


def test_the_controller_listens_on_loopback_and_keeps_all_in_one_folder() -> None:
    found = read(conf.controller(cluster(), PLACE))
    assert found["SlurmctldHost"] == "desk(127.0.0.1)"
    assert found["CommunicationParameters"] == "NoCtldInAddrAny"
    assert (found["SlurmctldPort"], found["SlurmdPort"], found["SlurmUser"]) == ("20001", "20002", "1000")
    assert found["AuthInfo"] == f"socket={PLACE.folder}/run/munge.sock,cred_expire=30"
    assert (found["SuspendTime"], found["ResumeTimeout"]) == ("300", "600")
    for key in ("ResumeProgram", "SuspendProgram", "StateSaveLocation", "SlurmctldPidFile", "JobCompLoc"):
        assert found[key].startswith(f"{PLACE.folder}/")
    assert found["NodeName"] == "lab-[1-3] CPUs=1 RealMemory=204 Weight=1 Feature=local State=CLOUD"


def test_a_node_reaches_the_controller_elsewhere_and_has_no_hooks() -> None:
    found = read(conf.node(cluster(), PLACE, conf.GATEWAY))
    assert found["SlurmctldHost"] == "desk(10.0.2.2)"
    assert found["AuthInfo"].startswith(f"socket={conf.NODE_SOCKET},")
    assert not {"ResumeProgram", "SuspendProgram", "StateSaveLocation", "JobSubmitPlugins"} & set(found)
    same = ("ClusterName", "SlurmctldPort", "SlurmdPort", "SlurmUser", "NodeName", "SelectType", "DebugFlags")
    here = read(conf.controller(cluster(), PLACE))
    assert {key: found[key] for key in same} == {key: here[key] for key in same}


def test_what_spans_nodes_is_refused_where_nodes_do_not_see_one_another() -> None:
    behind = cluster()
    assert conf.apart(behind)
    assert " MaxNodes=1" in conf.controller(behind, PLACE)
    assert conf.REASON in conf.submit(behind) and "if true and job.min_nodes" in conf.submit(behind)
    away = cluster(pools=({**AWAY, "first": 1, "last": 3},), address="10.1.1.1")
    text = conf.controller(away, PLACE)
    assert not conf.apart(away)
    assert "MaxNodes" not in text and "if false and job.min_nodes" in conf.submit(away)


def test_a_controller_with_nodes_elsewhere_listens_everywhere() -> None:
    pools = ({**POOL, "first": 1, "last": 3}, {**AWAY, "first": 4, "last": 6})
    text = conf.controller(cluster(pools=pools, address="10.1.1.1"), PLACE)
    assert "NoCtldInAddrAny" not in text
    assert "SlurmctldHost=desk\n" in text
    assert "NodeName=lab-[4-6] CPUs=2 RealMemory=1638 Weight=2 Feature=aws State=CLOUD\n" in text


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("lab-1", "local"),
        ("lab-3", "local"),
        ("lab-4", "aws"),
        ("lab-7", ""),
        ("lab-0", ""),
        ("lab-x", ""),
        ("web-1", ""),
    ],
)
def test_a_node_belongs_to_the_pool_of_its_number(name: str, cloud: str) -> None:
    both = cluster(pools=({**POOL, "first": 1, "last": 3}, {**AWAY, "first": 4, "last": 6}))
    found = conf.pool_of(both, name)
    assert (found["cloud"] if found else "") == cloud


def test_a_hook_returns_at_once_and_quotes_what_it_is_given(tmp_path: Path) -> None:
    log, seen = tmp_path / "it's a log", tmp_path / "seen"
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$@" "$WORD" > "{seen}.new"; mv "{seen}.new" "{seen}"\n')
    program.chmod(0o755)
    script = tmp_path / "resume"
    script.write_text(conf.hook("resume", "lab", [str(program)], {"WORD": "a 'b' $HOME"}, log))
    script.chmod(0o755)
    subprocess.run(["sh", "-n", script], check=True)
    subprocess.run([script, "lab-[1-2]; touch /tmp/never"], check=True, timeout=30)
    assert "resume lab-[1-2]" in log.read_text()
    while not seen.exists():  # it runs on in a session of its own
        pass
    assert seen.read_text() == "cluster|resume|lab|lab-[1-2]; touch /tmp/never|--yes|a 'b' $HOME|"


def test_the_script_of_a_node_is_shell() -> None:
    subprocess.run(["sh", "-n", Path(conf.__file__).parent / "node.sh"], check=True)
