"""`run`, `put` and `get` over hosts in memory: who is chosen, what is kept, what is run again."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cloudms.context import Context
from cloudms.doors.outcome import of_operation, results
from cloudms.engine import execute, runs, start
from cloudms.errors import Conflict, Interrupted, Invalid, NotFound
from cloudms.fanout.host import Host, hosts_of
from cloudms.fanout.pool import Pool
from cloudms.fanout.record import HostRecord
from cloudms.fanout.talk import Talk
from cloudms.model import Operation, OperationState
from tests.unit.calling import Call
from tests.unit.fanout.memory import Memory


async def says(command: str, talk: Talk) -> None:
    talk.out.take(f"ran {command}\n".encode())
    talk.exit = 0


async def fails(_command: str, talk: Talk) -> None:
    talk.err.take(b"oh\n")
    talk.exit = 2


@pytest.fixture
def memory(ctx: Context, call: Call, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Boot web-1 to web-3, which are reached in memory, and return how they behave."""
    call("vm boot", "micro", name="web", count=3)
    made = Memory(dict.fromkeys(("web-1", "web-2", "web-3"), says))
    ctx._pool = Pool(clock=ctx.clock, transport=lambda: made)

    def real(context: Context, vms: Any) -> list[Host]:
        return [host.with_(simulated=False) for host in hosts_of(context, vms)]

    monkeypatch.setattr(runs, "hosts_of", real)
    return made


def states(operation: Operation) -> dict[str, str]:
    return {record["name"]: record["state"] for record in results(operation)}


def test_every_vm_has_its_record_in_the_order_of_the_names(ctx: Context, call: Call, memory: Memory) -> None:
    memory.does["web-2"] = fails
    operation = call("run", ["web-3,web-[1-2]"], ["echo", "a b"])
    assert list(states(operation).items()) == [("web-3", "done"), ("web-1", "done"), ("web-2", "failed")]
    assert results(operation)[0]["stdout"] == "ran echo 'a b'\n"
    problem = of_operation(operation)
    assert problem is not None
    assert (problem.exit_code, operation.state) == (12, OperationState.PARTIAL)
    run = call("run info")
    assert (run.name, run.command, run.hosts, run.ok, run.failed) == ("run-1", "echo 'a b'", 3, 2, 1)
    assert [record.exit for record in run.records] == [0, 0, 2]
    assert "2 of 3 done, 1 failed" in ctx.notes[-1]


def test_output_is_kept_for_nobody_else(ctx: Context, call: Call, memory: Memory) -> None:
    memory.does["web-2"] = fails
    call("run", ["web-[1-2]"], ["date"])
    folder = Path(call("run info").folder)
    assert sorted(file.name for file in folder.iterdir()) == ["web-1.out", "web-2.err"]
    assert {file.stat().st_mode & 0o777 for file in (folder, *folder.iterdir())} == {0o700, 0o600}
    assert list(call("run logs")) == ["web-1: ran date", "web-2: oh"]
    assert list(call("run logs", on=["web-2"])) == ["web-2: oh"]
    with pytest.raises(NotFound, match="web-3 said nothing"):
        list(call("run logs", on=["web-[2-3]"]))


def test_what_failed_is_run_again_with_the_same_command(call: Call, memory: Memory) -> None:
    memory.does["web-2"] = fails
    call("run", ["web-[1-3]"], ["date"])
    memory.does["web-2"] = says
    memory.links["web-2"].does = says
    assert states(call("run", failed_of="last")) == {"web-2": "done"}
    assert call("run info").command == "date"
    assert call("run", failed_of="last").steps == ()
    assert states(call("run", [], ["other"], failed_of="run-1")) == {"web-2": "done"}


def test_a_resume_runs_only_what_did_not_end_well(ctx: Context, call: Call, memory: Memory) -> None:
    memory.does["web-2"] = fails
    operation = call("run", ["web-[1-3]"], ["date"])
    memory.links["web-2"].does = says
    again = call("operation resume", operation.name)
    assert states(again) == {"web-1": "done", "web-2": "done", "web-3": "done"}
    run = call("run info")
    assert (run.ok, run.failed, run.state) == (3, 0, OperationState.DONE)


def test_members_of_a_group_are_chosen_and_narrowed(call: Call, memory: Memory) -> None:
    call("vm label", ["web-1", "web-3"], group="lab")
    assert states(call("run", [], ["date"], group="lab")) == {"web-1": "done", "web-3": "done"}
    assert states(call("run", [], ["date"], group="lab", on=["web-[3]"])) == {"web-3": "done"}
    assert call("run info").group == "lab"
    with pytest.raises(NotFound):
        call("run", [], ["date"], group="lab", on=["web-2"])


def test_a_stopped_vm_is_not_connected_to(call: Call, memory: Memory) -> None:
    call("vm stop", ["web-2"])
    operation = call("run", ["web-[1-2]"], ["date"])
    assert states(operation) == {"web-1": "done", "web-2": "unreached"}
    assert memory.made == ["web-1"]


def test_a_vm_that_went_meanwhile_has_its_record(ctx: Context, call: Call, memory: Memory) -> None:
    operation = start(ctx, call("run", ["web-[1-2]"], ["date"], dry_run=True))
    ctx.catalog.delete("vm", [ctx.catalog.find("vm", name="web-2")[0].key])
    assert states(execute(ctx, operation)) == {"web-1": "done", "web-2": "unreached"}


def test_stopped_on_request_it_says_how_far_each_came(ctx: Context, call: Call, memory: Memory) -> None:
    async def stops(_command: str, talk: Talk) -> None:
        ctx.stop()
        await talk.ended.wait()

    memory.does["web-1"] = stops
    operation = start(ctx, call("run", ["web-[1-3]"], ["date"], width=1, dry_run=True))
    with pytest.raises(Interrupted):
        execute(ctx, operation)
    ended = call("operation show", operation.name)
    assert states(ended) == {"web-1": "cancelled", "web-2": "skipped", "web-3": "skipped"}
    run = call("run info")
    assert (run.state, run.ok, run.failed) == (OperationState.CANCELLED, 0, 0)


def test_too_many_failures_end_it(call: Call, memory: Memory) -> None:
    memory.does |= dict.fromkeys(memory.does, fails)
    operation = call("run", ["web-[1-3]"], ["date"], width=1, max_fail="1")
    assert list(states(operation).values()) == ["failed", "failed", "skipped"]


@pytest.mark.parametrize(
    "options",
    [
        {"width": 0}, {"width": 100_000}, {"batch": -1}, {"timeout": 0.0}, {"timeout": -3.0}, {"max_fail": "many"},
        {"connect_timeout": 0.0},
        {"max_fail": "120%"}, {"max_fail": "-1"},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused(call: Call, memory: Memory, options: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        call("run", ["web-1"], ["date"], **options)


def test_it_wants_to_know_what_and_where(call: Call, memory: Memory) -> None:
    for words in ((["web-1"], []), (["web-1"], ["  "]), ([], ["date"])):
        with pytest.raises(Invalid):
            call("run", *words)
    with pytest.raises(NotFound):
        call("run", failed_of="last")
    call("run", ["web-1"], ["date"])
    with pytest.raises(Invalid):
        call("run", ["web-1"], ["date"], failed_of="last")


@pytest.mark.parametrize(("text", "found"), [("", None), ("10%", 0.1), ("0", 0.0), ("3", 0.75), ("12.5%", 0.125)])
def test_a_share_is_a_percentage_or_a_number_of_hosts(text: str, found: float | None) -> None:
    assert runs.share(text, 4) == found


def test_input_is_copied_and_sent(tmp_path: Path, call: Call, memory: Memory) -> None:
    got: list[bytes] = []

    async def reads(_command: str, talk: Talk) -> None:
        while not talk.channel.sent.endswith(b"<eof>"):  # type: ignore[union-attr]
            await asyncio.sleep(0)
        got.append(talk.channel.sent)  # type: ignore[union-attr]
        talk.exit = 0

    memory.does["web-1"] = reads
    file = tmp_path / "secret"
    file.write_text("word")
    call("run", ["web-1"], ["cat"], input=file)
    kept = Path(call("run info").folder) / "input"
    assert (got, kept.read_text(), kept.stat().st_mode & 0o777) == ([b"word<eof>"], "word", 0o600)


def test_a_put_says_where_a_file_goes(tmp_path: Path, call: Call, memory: Memory) -> None:
    asked: list[str] = []

    async def takes(command: str, talk: Talk) -> None:
        asked.append(command)
        talk.exit = 0

    memory.does["web-1"] = takes
    file = tmp_path / "a b.sh"
    file.write_text("x")
    call("put", file, "/opt/", on=["web-1"], mode="0755")
    assert "chmod 755 '/opt/a b.sh'.cms-$$ && mv -f '/opt/a b.sh'.cms-$$ '/opt/a b.sh'" in asked[0]
    run = call("run info")
    assert (run.action, run.command) == ("put", "/opt/a b.sh")
    with pytest.raises(Invalid):
        call("put", file, "/opt/", on=["web-1"], mode="rwx")


def test_what_is_got_stands_in_a_folder_for_each(tmp_path: Path, call: Call, memory: Memory) -> None:
    async def gives(_command: str, talk: Talk) -> None:
        talk.err.take(b"cms:got:file\n")
        talk.out.take(b"content")
        talk.exit = 0

    async def lacks(_command: str, talk: Talk) -> None:
        talk.err.take(b"there is no such file\n")
        talk.exit = 66

    memory.does |= {"web-1": gives, "web-2": lacks}
    operation = call("get", "/var/log/syslog", tmp_path / "logs", on=["web-[1-2]"])
    assert (tmp_path / "logs/web-1/syslog").read_text() == "content"
    assert [file.name for file in (tmp_path / "logs").rglob("*") if file.is_file()] == ["syslog"]
    good, bad = results(operation)
    assert (good["stdout_bytes"], good["stdout_file"], good["stderr"]) == (7, str(tmp_path / "logs/web-1/syslog"), "")
    assert (bad["state"], bad["error"]["code"]) == ("failed", "not_found")


def test_the_files_of_a_run_are_copied_into_one_folder(tmp_path: Path, call: Call, memory: Memory) -> None:
    async def gives(_command: str, talk: Talk) -> None:
        talk.err.take(b"cms:got:file\n")
        talk.out.take(b"content")
        talk.exit = 0

    call("run", ["web-[1-2]"], ["date"])
    memory.does["web-1"] = gives
    call("get", "/var/log/syslog", on=["web-1"])
    said = {"web-1.out", "web-2.out"}
    for run, files in (("run-1", said), ("run-2", {"files/web-1/syslog"})):
        place = tmp_path / run
        assert call("run fetch", run, place).state is OperationState.DONE
        there = {str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()}
        assert there == files | {"records.json"}
        records = json.loads((place / "records.json").read_text())
        assert [record["state"] for record in records] == ["done"] * len(records)
    assert (tmp_path / "run-1/web-2.out").read_text() == "ran date\n"
    with pytest.raises(Conflict, match="has something in it"):
        call("run fetch", "run-1", tmp_path / "run-1")
    assert call("run fetch", "run-1", tmp_path / "run-1", overwrite=True).state is OperationState.DONE
    (tmp_path / "file").touch()
    with pytest.raises(Invalid, match="not a folder"):
        call("run fetch", "run-1", tmp_path / "file")
    shutil.rmtree(call("run info", "run-1").folder)
    assert call("run fetch", "run-1", tmp_path / "anew").state is OperationState.FAILED


def test_runs_are_listed_and_forgotten_with_their_files(call: Call, memory: Memory) -> None:
    call("run", ["web-1"], ["date"])
    call("run", ["web-2"], ["uptime"])
    assert [run.name for run in call("run list").items] == ["run-2", "run-1"]
    folder = Path(call("run info", "run-1").folder)
    call("run delete", ["run-1"])
    assert not folder.exists()
    assert [run.name for run in call("run list").items] == ["run-2"]
    with pytest.raises(NotFound):
        call("run info", "run-1")


def test_what_still_goes_on_is_not_forgotten(ctx: Context, call: Call, memory: Memory) -> None:
    operation = start(ctx, call("run", ["web-1"], ["date"], dry_run=True))
    stored = ctx.catalog.get("run", "run-1")
    assert stored
    ctx.catalog.put("run", {"run-1": {**stored.document, "operation": operation.name}})
    with pytest.raises(Conflict):
        call("run delete", ["last"])


def test_a_run_whose_process_died_before_it_began_is_interrupted(ctx: Context, call: Call, memory: Memory) -> None:
    start(ctx, call("run", ["web-1"], ["date"], dry_run=True))
    assert call("run list").items[0].state is OperationState.INTERRUPTED


def test_a_dry_run_touches_nothing(ctx: Context, call: Call, memory: Memory) -> None:
    plan = call("run", ["web-[1-2]"], ["date"], dry_run=True)
    assert [step.params["command"] for step in plan.steps] == ["date", "date"]
    assert not ctx.catalog.find("run")
    assert not memory.made


def test_lines_are_told_as_they_come(ctx: Context, call: Call, memory: Memory) -> None:
    heard: list[tuple[str, str, str]] = []
    ctx.heard = lambda *told: heard.append(told)
    call("run", ["web-1"], ["date"])
    assert heard == [("web-1", "stdout", "ran date\n")]


def test_records_keep_little_of_many_hosts() -> None:
    assert HostRecord(name="a").host == "a"


def test_hosts_of_one_name_have_files_of_their_own() -> None:
    from cloudms.engine.plan import Work
    from cloudms.model import Step

    ctx = Context()
    steps = [
        Step(action="run.host", cloud=cloud, target=name, params={"key": f"{cloud}/{name}"})
        for cloud, name in (("one", "a/b"), ("two", "a b"), ("two", "a:b"), ("one", "../x"))
    ]
    found = runs._files([Work(ctx, step, "op-1") for step in steps])
    assert list(found.values()) == ["a_b", "a_b@two", "a_b.2", "_x"]
