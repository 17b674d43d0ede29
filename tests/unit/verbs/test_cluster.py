"""Clusters: what is refused, nodes that are booted and deleted for Slurm, and failures it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cloudms.clock import iso
from cloudms.cluster import daemons, files, node, store
from cloudms.cluster.control import Control, Job, SlurmNode
from cloudms.cluster.daemons import PROGRAMS
from cloudms.context import Context
from cloudms.errors import Conflict, Exists, Interrupted, Invalid, NotFound, NotReady, Unsupported
from cloudms.model import Cluster, OperationState, Vm
from tests.unit.calling import Call

POOL = {"cloud": "one", "image": "micro", "flavor": "small", "cpus": 1, "memory_mib": 512, "together": False}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Slurm be installed."""
    monkeypatch.setattr(daemons, "find", lambda program: f"/usr/sbin/{program}")


@pytest.fixture
def lab(ctx: Context, own_home: Path) -> Cluster:
    """Return a cluster of two nodes on a fake cloud, whose controller does not run."""
    folder = store.folder_of("lab")
    cluster = Cluster(
        name="lab", cloud="one", image="micro", flavor="small", max=2, pools=({**POOL, "first": 1, "last": 2},),
        idle=60.0, boot_timeout=60.0, port=20001, node_port=20002, folder=str(folder),
        config=str(folder / "slurm.conf"),
    )  # fmt: skip
    return store.save(ctx, cluster, "cluster.create", "made")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Return what happens to nodes: those that joined, and those Slurm was told to have failed."""
    heard: list[tuple[str, ...]] = []
    monkeypatch.setattr(node, "join", lambda cluster, place, vm, clock: heard.append(("joined", vm.name)))
    monkeypatch.setattr(Control, "nodes", lambda self: [SlurmNode(name="lab-2", state="down", flags=("CLOUD",))])
    monkeypatch.setattr(Control, "update_node", lambda self, name, **facts: heard.append((name, facts["State"])))
    monkeypatch.setattr(Control, "failed", lambda self, name, reason: heard.append(("failed", name, reason)))
    monkeypatch.setattr(Control, "hold", lambda self, name, minutes: heard.append(("held", name, str(minutes))))
    monkeypatch.setattr(Control, "let_go", lambda self, name: heard.append(("let go", name)))
    monkeypatch.setattr(files, "fetch_from", lambda vm, target: heard.append(("fetched", vm.name, target.name)))
    return heard


def vms(ctx: Context) -> dict[str, Vm]:
    """Return the VMs of the catalog by name."""
    return {vm.name: vm for row in ctx.catalog.find("vm") for vm in [Vm.from_document(row.document)]}


@pytest.mark.parametrize(
    ("name", "options", "error"),
    [
        ("Lab", {}, Invalid),
        ("la-b", {}, Invalid),
        ("l" * 21, {}, Invalid),
        ("lab", {"max": 0}, Invalid),
        ("lab", {"cloud": "one"}, Unsupported),
        ("lab", {"group": "nobody"}, NotFound),
    ],
)
@pytest.mark.usefixtures("installed")
def test_create_refuses(call: Call, name: str, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call("cluster create", name, **options)


def test_create_says_which_packages_are_missing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "find", lambda program: None)
    with pytest.raises(NotReady, match="needs munged, slurmctld, scontrol, sbatch") as caught:
        call("cluster create", "lab")
    assert caught.value.hint == "sudo apt-get install --no-install-recommends munge slurmctld slurm-client"
    assert set(PROGRAMS.values()) == {"munge", "slurmctld", "slurm-client"}


@pytest.mark.usefixtures("installed", "lab")
def test_a_name_is_taken_once(call: Call) -> None:
    with pytest.raises(Exists, match="a cluster 'lab'"):
        call("cluster create", "lab")


@pytest.mark.usefixtures("lab")
def test_resume_boots_nodes_that_join(ctx: Context, call: Call, told: list[tuple[str, ...]]) -> None:
    operation = call("cluster resume", "lab", ["lab-[1-2]"])
    assert operation.state is OperationState.DONE
    assert sorted(told) == [("joined", "lab-1"), ("joined", "lab-2")]
    found = vms(ctx)
    assert set(found) == {"lab-1", "lab-2"}
    assert (found["lab-1"].group, found["lab-1"].labels["cluster"], found["lab-1"].cloud) == ("lab", "lab", "one")
    assert store.has_joined(ctx, found["lab-1"])


@pytest.mark.usefixtures("lab")
def test_resume_takes_the_vm_that_is_there(ctx: Context, call: Call, told: list[tuple[str, ...]]) -> None:
    call("cluster resume", "lab", ["lab-1"])
    before = vms(ctx)["lab-1"].token
    call("cluster resume", "lab", ["lab-1"])
    assert told == [("joined", "lab-1"), ("joined", "lab-1")]
    assert vms(ctx)["lab-1"].token == before


@pytest.mark.usefixtures("lab")
def test_a_node_that_does_not_join_is_told_and_has_no_files(
    ctx: Context, call: Call, told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def join(cluster: Cluster, place: object, vm: Vm, clock: object) -> None:
        raise NotReady("slurmd did not start")

    monkeypatch.setattr(node, "join", join)
    operation = call("cluster resume", "lab", ["lab-1"])
    assert operation.state is OperationState.FAILED
    assert told == [("failed", "lab-1", "slurmd did not start"), ("held", "lab-1", "1")]
    call("cluster suspend", "lab", ["lab-1"])
    assert len(told) == 2
    assert not vms(ctx)


@pytest.mark.usefixtures("lab")
def test_a_node_that_boots_in_vain_is_held_back_longer_and_longer(
    ctx: Context, call: Call, told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fine = node.join

    def join(cluster: Cluster, place: object, vm: Vm, clock: object) -> None:
        raise NotReady("slurmd did not start")

    monkeypatch.setattr(node, "join", join)
    for _ in range(6):
        call("cluster resume", "lab", ["lab-1"])
        call("cluster suspend", "lab", ["lab-1"])
    assert [each[2] for each in told if each[0] == "held"] == ["1", "2", "4", "8", "15", "15"]
    again = iso(ctx.clock.now() + 15 * 60)
    text = f"lab-1 was booted in vain, 6 times in a row; tried again at {again}: slurmd did not start"
    assert call("cluster info", "lab").vain == {"lab-1": text}
    assert text in [row.document["text"] for row in ctx.catalog.find("event", name="lab")]
    monkeypatch.setattr(node, "join", fine)
    call("cluster resume", "lab", ["lab-[1-2]"])
    assert [each for each in told if each[0] == "let go"] == [("let go", "lab-1")]
    assert call("cluster info", "lab").vain == {}


@pytest.mark.usefixtures("lab")
def test_a_boot_that_was_broken_off_counts_once_slurm_has_given_the_node_up(
    ctx: Context, call: Call, told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(cluster: Cluster, place: object, vm: Vm, clock: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(node, "join", killed)
    for name in ("lab-1", "lab-2"):
        with pytest.raises(Interrupted):
            call("cluster resume", "lab", [name])
        ctx.stopping.clear()
        store.left(ctx, vms(ctx)[name])  # it is written down just before, and was not when the boot was killed
        call("cluster suspend", "lab", [name])
    assert [each for each in told if each[0] == "held"] == [("held", "lab-2", "1")]  # lab-1 is not down
    assert "broken off" in call("cluster info", "lab").vain["lab-2"]
    call("cluster delete", "lab")
    assert not ctx.catalog.find("cluster-vain")


@pytest.mark.usefixtures("lab")
def test_a_node_that_cannot_even_be_planned_is_held_back(ctx: Context, call: Call, told: list[tuple[str, ...]]) -> None:
    call("vm boot", name="lab-1", cloud="one")
    assert [step.action for step in call("cluster resume", "lab", ["lab-1"], dry_run=True).steps] == ["cluster.refuse"]
    assert not told
    call("cluster resume", "lab", ["lab-1"])
    assert [each[:2] for each in told] == [("failed", "lab-1"), ("held", "lab-1")]


@pytest.mark.usefixtures("lab")
def test_a_vm_of_that_name_which_is_no_node_is_left_alone(
    ctx: Context, call: Call, told: list[tuple[str, ...]]
) -> None:
    call("vm boot", name="lab-1", cloud="one")
    call("cluster resume", "lab", ["lab-[1-2]"])
    assert sorted(each[:2] for each in told) == [("failed", "lab-1"), ("held", "lab-1"), ("joined", "lab-2")]
    with pytest.raises(Invalid, match="no node of lab"):
        call("cluster suspend", "lab", ["lab-1"])
    assert set(vms(ctx)) == {"lab-1", "lab-2"}


@pytest.mark.usefixtures("lab")
def test_suspend_fetches_files_first(ctx: Context, call: Call, told: list[tuple[str, ...]]) -> None:
    call("cluster resume", "lab", ["lab-1"])
    vm = vms(ctx)["lab-1"]
    assert call("cluster suspend", "lab", ["lab-[1-2]"]).state is OperationState.DONE
    assert sorted(told) == [("fetched", "lab-1", "files"), ("joined", "lab-1"), ("lab-2", "RESUME")]
    assert not vms(ctx) and not store.has_joined(ctx, vm)
    assert call("cluster suspend", "lab", ["lab-1"]).state is OperationState.DONE


@pytest.mark.usefixtures("lab")
def test_a_node_whose_files_cannot_be_had_is_kept(
    ctx: Context, call: Call, told: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("cluster resume", "lab", ["lab-1"])

    def fetch(vm: Vm, target: Path) -> None:
        told.append(("tried", vm.name))
        raise NotReady("connection refused")

    monkeypatch.setattr(files, "fetch_from", fetch)
    assert call("cluster suspend", "lab", ["lab-1"]).state is OperationState.FAILED
    assert told[1:] == [("tried", "lab-1")] * 3
    assert set(vms(ctx)) == {"lab-1"}
    assert call("cluster delete", "lab").state is OperationState.DONE
    assert not vms(ctx) and "files of its jobs" in ctx.warnings[0]


@pytest.mark.usefixtures("lab")
def test_nodes_have_to_be_of_the_cluster(call: Call) -> None:
    with pytest.raises(NotFound, match="lab has no node") as caught:
        call("cluster resume", "lab", ["lab-[2-3]"])
    assert caught.value.hint == "they are lab-[1-2]"


def test_delete_keeps_the_files_of_jobs(ctx: Context, call: Call, lab: Cluster) -> None:
    kept = store.files_of(lab) / "out"
    kept.parent.mkdir(parents=True)
    kept.write_text("result")
    (Path(lab.folder) / "munge.key").write_text("secret")
    assert call("cluster delete", "lab").state is OperationState.DONE
    assert [path.name for path in Path(lab.folder).rglob("*")] == ["files", "out"]
    with pytest.raises(NotFound):
        call("cluster info", "lab")


def test_delete_wants_force_while_jobs_wait(call: Call, lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemons, "runs", lambda place: True)
    monkeypatch.setattr(
        Control, "jobs", lambda self: [Job(id=1, state="PENDING", tasks="3-5"), Job(id=2, state="FAILED")]
    )
    with pytest.raises(Conflict, match="lab has 3 jobs"):
        call("cluster delete", "lab")
    assert call("cluster delete", "lab", force=True).state is OperationState.DONE


def test_info_says_what_the_controller_says(call: Call, lab: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call("cluster info", "lab").state == "stopped"
    monkeypatch.setattr(daemons, "runs", lambda place: True)
    nodes = [
        SlurmNode(name="lab-1", state="idle", flags=("CLOUD", "POWERED_DOWN")),
        SlurmNode(name="lab-2", state="idle"),
    ]
    jobs = [Job(id=1, state="PENDING", tasks="3-5"), Job(id=2, state="RUNNING"), Job(id=3, state="COMPLETED")]
    monkeypatch.setattr(Control, "nodes", lambda self: nodes)
    monkeypatch.setattr(Control, "jobs", lambda self: jobs)
    found = call("cluster info", "lab")
    assert (found.state, found.nodes, found.jobs) == ("running", {"idle": 1, "off": 1}, {"pending": 3, "running": 1})


def test_a_slurm_elsewhere_is_taken_in_when_it_answers(
    ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Control, "jobs", lambda self: [])
    assert call("cluster add", "hpc", ssh="ada@login").state is OperationState.DONE
    assert store.find(ctx, "hpc").ssh == "ada@login"
    for verb in ("start", "stop"):
        with pytest.raises(Unsupported, match="not ours to start or stop"):
            call(f"cluster {verb}", "hpc")
    with pytest.raises(Exists):
        call("cluster add", "hpc", ssh="ada@login")
    assert call("cluster delete", "hpc").state is OperationState.DONE
    assert not ctx.catalog.find("cluster")


def test_one_that_does_not_answer_is_not_taken_in(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def jobs(self: Control) -> list[Job]:
        raise NotReady("hpc: Permission denied (publickey)")

    monkeypatch.setattr(Control, "jobs", jobs)
    assert call("cluster add", "hpc", ssh="ada@login").state is OperationState.FAILED
    assert not ctx.catalog.find("cluster")
    for place in ("", "-oProxyCommand=x", "a b"):
        with pytest.raises(Invalid):
            call("cluster add", "hpc", ssh=place)
