from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms import paths
from cloudms.clock import ManualClock
from cloudms.clouds.libvirt import host
from cloudms.errors import Denied, NotReady, Timeout


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a stand-in for /run, with all of libvirt's programs installed and started by nobody."""
    folder = tmp_path / "run"
    (folder / "libvirt").mkdir(parents=True)
    monkeypatch.setattr(host, "RUN", folder)
    monkeypatch.setattr(host, "find_program", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(host, "KVM_NODE", tmp_path / "kvm")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return folder


class Starter:
    """Stands for the programs that are run: each opens the socket a real one would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.argvs: list[list[str]] = []
        self.sockets: list[socket.socket] = []
        self.dead = False

    def __call__(self, argv: list[str]) -> None:
        self.argvs.append(argv)
        for word, name in (
            ("libvirtd", "libvirt-sock"),
            ("virtqemud", "virtqemud-sock"),
            ("virtlogd", "virtlogd-sock"),
        ):
            if not self.dead and any(word in part for part in argv):
                self.listen(name)

    def listen(self, name: str) -> None:
        server = socket.socket(socket.AF_UNIX)
        here = Path.cwd()
        os.chdir(self.folder / "libvirt")  # the name alone fits into the 108 bytes of a socket's path
        server.bind(name)
        os.chdir(here)
        server.listen()
        self.sockets.append(server)


@pytest.fixture
def starter(run: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    made = Starter(run)
    monkeypatch.setattr(host, "_run", made)
    answering = host.answers

    def answers(name: str) -> bool:
        here = Path.cwd()
        os.chdir(run)
        monkeypatch.setattr(host, "RUN", Path())
        try:
            return answering(name)
        finally:
            os.chdir(here)
            monkeypatch.setattr(host, "RUN", run)

    monkeypatch.setattr(host, "answers", answers)
    yield made
    for server in made.sockets:
        server.close()


@pytest.mark.parametrize(
    ("environ", "uid", "uri"),
    [
        ({}, 0, "qemu:///system"),
        ({}, 1000, "qemu:///session"),
        ({"LIBVIRT_DEFAULT_URI": "qemu+ssh://lab/system"}, 0, "qemu+ssh://lab/system"),
    ],
)
def test_the_uri_follows_the_user(environ: dict[str, str], uid: int, uri: str) -> None:
    assert host.default_uri(environ, uid) == uri


@pytest.mark.parametrize(
    ("uri", "local", "session"),
    [
        ("qemu:///session", True, True),
        ("qemu:///system", True, False),
        ("qemu+unix:///session?socket=/x", True, True),
        ("qemu+ssh://me@lab/system", False, False),
        ("qemu+ssh://me@lab/session", False, True),
        ("test:///default", False, False),
    ],
)
def test_a_uri_tells_where_and_as_whom_qemu_runs(uri: str, local: bool, session: bool) -> None:
    assert host.is_local(uri) is local
    assert host.is_session(uri, uid=1000) is session
    assert host.is_session(uri, uid=0) is False


def test_a_sessions_disks_are_private_and_beside_the_other_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    folder = host.prepare_pool("qemu:///session")
    assert folder == paths.home() / "libvirt"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_systems_disks_can_be_reached_but_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SYSTEM_POOL", tmp_path / "images" / "cloudms")
    folder = host.prepare_pool("qemu:///system")
    assert folder.stat().st_mode & 0o777 == 0o711


def test_a_user_who_may_not_write_there_is_told_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(Denied) as caught:
        host.prepare_pool("qemu:///system")
    assert "qemu:///session" in caught.value.hint


def test_qemus_account_is_the_configured_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "qemu.conf"
    monkeypatch.setattr(host, "QEMU_CONF", conf)
    conf.write_text('#user = "libvirt-qemu"\nuser = "nobody"\n')
    assert host.qemu_user("qemu:///system").pw_name == "nobody"
    conf.write_text('user = "+0"\n')
    assert host.qemu_user("qemu:///system").pw_uid == 0


def test_without_an_account_qemu_runs_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "QEMU_CONF", tmp_path / "none")
    monkeypatch.setattr(host, "QEMU_ACCOUNTS", ("no-such-account",))
    assert host.qemu_user("qemu:///system").pw_uid == 0


@pytest.mark.parametrize(
    ("owner", "group", "mode", "openable"),
    [
        (0, 0, 0o600, False),
        (0, 77, 0o660, True),
        (0, 77, 0o640, False),
        (0, 0, 0o666, True),
        (500, 0, 0o600, True),
    ],
)
def test_the_device_is_judged_with_the_eyes_of_qemus_account(
    run: Path, monkeypatch: pytest.MonkeyPatch, owner: int, group: int, mode: int, openable: bool
) -> None:
    account = pwd.struct_passwd(("vm", "x", 500, 500, "", "/", "/bin/false"))
    monkeypatch.setattr(host, "qemu_user", lambda uri: account)
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 77])
    host.KVM_NODE.touch()
    status = os.stat_result((0o020000 | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda self, **_: status)
    assert host.kvm_openable("qemu:///system") is openable
    assert host.kvm_trapped("qemu:///system") is not openable


def test_a_machine_without_the_device_is_no_trap(run: Path) -> None:
    assert not host.kvm_openable("qemu:///system")
    assert not host.kvm_trapped("qemu:///system")


def test_daemons_are_started_by_hand_where_no_systemd_is(starter: Starter, clock: ManualClock) -> None:
    said: list[str] = []
    host.ensure_daemon("qemu:///system", clock=clock, say=said.append)
    assert starter.argvs == [
        ["/usr/sbin/virtlogd", "--daemon"],
        ["/usr/sbin/libvirtd", "--daemon", "--timeout", "300"],
    ]
    assert said == ["started virtlogd", "started libvirtd"]
    host.ensure_daemon("qemu:///system", clock=clock)
    assert len(starter.argvs) == 2


def test_only_what_does_not_answer_is_started(starter: Starter, clock: ManualClock) -> None:
    starter.listen("libvirt-sock")
    host.ensure_daemon("qemu:///system", clock=clock)
    assert starter.argvs == [["/usr/sbin/virtlogd", "--daemon"]]


def test_with_systemd_the_units_are_started(starter: Starter, run: Path, clock: ManualClock) -> None:
    (run / "systemd" / "system").mkdir(parents=True)
    host.ensure_daemon("qemu:///system", clock=clock)
    assert starter.argvs == [["systemctl", "start", "virtlogd.socket", "libvirtd.service"]]


def test_a_daemon_that_never_answers_ends_the_wait(starter: Starter, clock: ManualClock) -> None:
    starter.dead = True
    with pytest.raises(Timeout, match="libvirtd does not answer"):
        host.ensure_daemon("qemu:///system", clock=clock)
    assert sum(clock.slept) >= 20


@pytest.mark.parametrize("uri", ["qemu+ssh://lab/system", "test:///default"])
def test_nothing_is_started_for_another_machine(starter: Starter, uri: str) -> None:
    host.ensure_daemon(uri)
    assert starter.argvs == []


def test_an_ordinary_users_daemons_are_left_to_libvirt(starter: Starter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    host.ensure_daemon("qemu:///session")
    assert starter.argvs == []


def test_a_machine_without_libvirt_gets_the_command_that_installs_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "find_program", lambda name: None)
    with pytest.raises(NotReady, match="not installed") as caught:
        host.ensure_daemon("qemu:///system")
    assert "libvirt-daemon-system" in caught.value.hint


def test_the_trap_is_opened_before_anything_starts(
    starter: Starter, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "kvm_trapped", lambda uri: True)
    monkeypatch.setattr(host, "release_kvm", lambda: True)
    said: list[str] = []
    host.ensure_daemon("qemu:///system", clock=clock, say=said.append)
    assert "group kvm" in said[0]
    said.clear()
    host.ensure_daemon("qemu:///system", clock=clock, say=said.append, release=False)
    assert said == []


def test_a_daemon_that_refuses_to_start_says_why(tmp_path: Path) -> None:
    script = tmp_path / "libvirtd"
    script.write_text("#!/bin/sh\necho first >&2\necho 'cannot bind the socket' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(NotReady, match="did not start: cannot bind the socket"):
        host._run([str(script)])


@pytest.mark.parametrize(
    ("uri", "shown", "login"),
    [
        ("qemu:///system", "qemu:///system", {}),
        ("qemu+ssh://ada@lab.example.org/system", "qemu+ssh://ada@lab.example.org/system", {}),
        ("qemu+tcp://[::1]:16509/system", "qemu+tcp://[::1]:16509/system", {}),
        (
            "qemu+tcp://ada:p%40ss@lab.example.org:16509/system?no_tty=1",
            "qemu+tcp://ada@lab.example.org:16509/system?no_tty=1",
            {"username": "ada", "password": "p@ss"},
        ),
    ],
)
def test_a_password_is_taken_out_of_an_address(uri: str, shown: str, login: dict[str, str]) -> None:
    assert host.divided(uri) == (shown, login)
