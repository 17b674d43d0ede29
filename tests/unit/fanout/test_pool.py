"""One action on hosts in memory: records for every end, kept connections, what is repeated and what never is."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from cloudms.fanout.action import Command
from cloudms.fanout.host import Host, jumps
from cloudms.fanout.one import Outlet
from cloudms.fanout.talk import Talk
from tests.unit.fanout.memory import Memory, fine, hosts, pool


async def fails(_command: str, talk: Talk) -> None:
    talk.err.take(b"no such thing\n")
    talk.exit = 3


async def is_killed(_command: str, talk: Talk) -> None:
    talk.signal = "SEGV"


async def hangs(_command: str, talk: Talk) -> None:
    await talk.ended.wait()


async def breaks(_command: str, talk: Talk) -> None:
    talk.out.take(b"begun\n")
    raise ConnectionResetError("gone")


def test_a_record_says_how_it_ended() -> None:
    with pool(Memory({"b": fails, "c": is_killed})) as made:
        a, b, c = (made.run(host, "x") for host in hosts("a", "b", "c"))
    assert (a.state, a.exit, a.signal, a.error) == ("done", 0, "", {})
    assert (b.state, b.exit, b.stderr, b.stderr_bytes) == ("failed", 3, "no such thing\n", 14)
    assert (c.state, c.exit, c.signal) == ("signalled", None, "SEGV")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ConnectionRefusedError(111, "refused"), "not_ready"),
        (ConnectionResetError(104, "reset"), "not_ready"),
        (TimeoutError(), "not_ready"),
        (type("HostKeyNotVerifiable", (Exception,), {})("key"), "denied"),
        (type("KeyExchangeFailed", (Exception,), {})("No matching host key algorithm found"), "denied"),
        (type("PermissionDenied", (Exception,), {})("no"), "denied"),
        (type("ProtocolError", (Exception,), {})("strange"), "not_ready"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_host_that_lets_nobody_in_is_unreached(raised: Exception, code: str) -> None:
    with pool(Memory(refuses={"a": raised})) as made:
        record = made.run(hosts("a")[0], "x")
    assert (record.state, record.exit, record.error["code"]) == ("unreached", None, code)
    assert "a" in record.error["message"]


def test_a_host_without_an_address_is_unreached() -> None:
    with pool(Memory()) as made:
        assert made.run(Host(name="a"), "x").error["code"] == "not_ready"


def test_a_connection_is_kept_and_made_anew_when_it_has_died() -> None:
    memory = Memory()
    with pool(memory) as made:
        host = hosts("a")[0]
        made.run(host, "1")
        made.run(host, "2")
        assert memory.made == ["a"]
        memory.links["a"].closed = True
        assert made.run(host, "3").ok
        memory.links["a"].dies = ConnectionResetError("stale")
        assert made.run(host, "4").ok
    assert memory.made == ["a", "a", "a"]


def test_what_a_host_has_taken_is_never_repeated() -> None:
    ran: list[str] = []

    async def once(command: str, talk: Talk) -> None:
        ran.append(command)
        if command == "2":
            raise ConnectionResetError("gone")
        talk.exit = 0

    memory = Memory({"a": once})
    with pool(memory) as made:
        host = hosts("a")[0]
        made.run(host, "1")
        record = made.run(host, "2")
    assert (record.state, record.error["details"]) == ("unreached", {"began": True})
    assert ran == ["1", "2"]


def test_output_of_a_broken_connection_is_kept() -> None:
    with pool(Memory({"a": breaks})) as made:
        assert made.run(hosts("a")[0], "x").stdout == "begun\n"


def test_input_is_sent_and_ended() -> None:
    got: list[bytes] = []

    async def reads(_command: str, talk: Talk) -> None:
        await asyncio.sleep(0)
        got.append(talk.channel.sent)  # type: ignore[union-attr]
        talk.exit = 0

    with pool(Memory({"a": reads})) as made:
        assert made.run(hosts("a")[0], "x", input=b"hello").ok
    assert got == [b"hello<eof>"]


def test_a_command_is_ended_at_its_deadline() -> None:
    with pool(Memory({"a": hangs})) as made:
        record = made.run(hosts("a")[0], "x", timeout=0.01)
    assert (record.state, record.error["code"], record.signal) == ("timeout", "timeout", "TERM")


def test_a_bastion_is_connected_to_once() -> None:
    memory = Memory()
    jump = (Host(name="bastion", address="bastion.test"),)
    with pool(memory) as made:
        records = list(made.each(hosts("a", "b", "c", jump=jump), "x"))
    assert all(record.ok for record in records)
    assert memory.made.count("bastion") == 1
    assert memory.through["a"] is memory.through["c"] is memory.links["bastion"]


def test_a_bastion_that_refuses_is_what_the_hosts_behind_it_tell() -> None:
    memory = Memory(refuses={"bastion": ConnectionRefusedError(111, "refused")})
    jump = (Host(name="bastion", address="bastion.test"),)
    with pool(memory) as made:
        assert made.run(hosts("a", jump=jump)[0], "x").state == "unreached"


def test_every_host_has_one_record_whatever_happens() -> None:
    memory = Memory({"b": fails, "c": is_killed, "d": breaks, "f": hangs}, {"e": ConnectionRefusedError(111, "no")})
    names = "abcdefgh"
    with pool(memory) as made:
        found = {record.name: record.state for record in made.each(hosts(*names), "x", timeout=1.0, width=3)}
    assert found == {
        "a": "done", "b": "failed", "c": "signalled", "d": "unreached", "e": "unreached", "f": "timeout",
        "g": "done", "h": "done",
    }  # fmt: skip


def test_never_more_at_once_than_the_width() -> None:
    now, most = 0, 0

    async def counted(_command: str, talk: Talk) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        talk.exit = 0

    names = [f"h{number}" for number in range(20)]
    with pool(Memory(dict.fromkeys(names, counted))) as made:
        assert len(list(made.each(hosts(*names), "x", width=4))) == 20
    assert most <= 4


def test_a_batch_has_ended_before_the_next_begins() -> None:
    order: list[str] = []

    def noted(name: str, pauses: int) -> object:
        async def does(_command: str, talk: Talk) -> None:
            order.append(f"{name}+")
            for _ in range(pauses):
                await asyncio.sleep(0)
            order.append(f"{name}-")
            talk.exit = 0

        return does

    does = {name: noted(name, pauses) for name, pauses in zip("abcd", (9, 1, 1, 1), strict=True)}
    with pool(Memory(does)) as made:  # type: ignore[arg-type]
        list(made.each(hosts(*"abcd"), "x", batch=2))
    assert set(order[:4]) == {"a+", "a-", "b+", "b-"}


@pytest.mark.parametrize(("share", "ran"), [(0.0, 1), (0.25, 2), (None, 4), (1.0, 4)])
def test_nothing_begins_any_more_when_too_many_have_failed(share: float | None, ran: int) -> None:
    with pool(Memory(dict.fromkeys("abcd", fails))) as made:
        records = list(made.each(hosts(*"abcd"), "x", width=1, max_fail=share))
    states = [record.state for record in records]
    assert states == ["failed"] * ran + ["skipped"] * (4 - ran)


def test_on_request_what_runs_is_ended_and_nothing_else_begins() -> None:
    cancel, running = threading.Event(), []

    async def waits(_command: str, talk: Talk) -> None:
        running.append(1)
        if len(running) == 2:
            cancel.set()
        await talk.ended.wait()

    with pool(Memory(dict.fromkeys("abc", waits))) as made:
        records = list(made.each(hosts(*"abcd"), "x", width=2, cancel=cancel))
    assert sorted(record.state for record in records) == ["cancelled", "cancelled", "skipped", "skipped"]
    assert all(record.error["code"] == "interrupted" for record in records)


def test_output_goes_to_files_and_in_whole_lines_to_who_listens(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    async def speaks(_command: str, talk: Talk) -> None:
        for part in (b"one\ntw", b"o\nthree"):
            talk.out.take(part)
        talk.err.take(b"oh\n")
        talk.exit = 0

    out, err = tmp_path / "a.out", tmp_path / "a.err"
    with pool(Memory({"a": speaks, "b": fine})) as made:
        outlet = Outlet(out, err, heard=lambda stream, text: heard.append((stream, text)))
        record = next(made.each(hosts("a"), Command(command="x"), outlet=lambda _host: outlet))
        quiet = next(made.each(hosts("b"), "x", outlet=lambda _host: Outlet(tmp_path / "b.out")))
    assert out.read_bytes() == b"one\ntwo\nthree"
    assert out.stat().st_mode & 0o777 == 0o600
    assert heard == [("stdout", "one\n"), ("stdout", "two\n"), ("stderr", "oh\n"), ("stdout", "three\n")]
    assert (record.stdout_file, record.stderr_file, quiet.stdout_file) == (str(out), str(err), "")


def test_a_simulated_host_answers_what_would_run() -> None:
    memory = Memory()
    with pool(memory) as made:
        record = made.run(hosts("a", simulated=True)[0], "echo it")
    assert record.ok
    assert record.simulated
    assert record.stdout == "a is simulated: this is what would run\nssh root@a.test -- 'echo it'\n"
    assert not memory.made


def test_jump_hosts_are_written_as_ssh_config_has_them() -> None:
    found = jumps("me@one:2200, two,[fd00::1]:22")
    assert [(h.login, h.address, h.port) for h in found] == [("me", "one", 2200), ("", "two", 0), ("", "fd00::1", 22)]
    assert jumps("none") == jumps("") == ()


def test_what_is_to_be_put_and_is_not_there_is_told(tmp_path: Path) -> None:
    memory = Memory()
    with pool(memory) as made:
        record = made.put(hosts("a")[0], tmp_path / "none", "/opt/none")
    assert (record.state, record.error["code"]) == ("failed", "not_found")
    assert not memory.made


def test_a_connection_is_closed_by_its_host_and_made_again() -> None:
    memory = Memory()
    with pool(memory) as made:
        host = hosts("a")[0]
        made.run(host, "1")
        made.close(host)
        assert memory.links["a"].closed
        assert made.run(host, "2").ok
    assert memory.made == ["a", "a"]
