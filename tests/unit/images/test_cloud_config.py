"""The small guest's cloud-config, run on this machine against a folder that stands for the guest."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
import os
import stat
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cloudms import lease
from cloudms.images.recipe import GUEST

SCRIPT = GUEST / "micro" / "root" / "usr" / "lib" / "cms" / "cloud_config.py"
KEY = "ssh-ed25519 AAAAC3Nza ada@lab"


def load() -> ModuleType:
    """Import the guest's program, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("guest_cloud_config", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["guest_cloud_config"] = module
    spec.loader.exec_module(module)
    return module


cc = load()


class Machine:
    """A guest in a folder, which notes who would own what."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.owners: dict[str, tuple[int, int]] = {}
        self.console = root / "console"
        for name in ("passwd", "group"):
            (root / "etc").mkdir(exist_ok=True, parents=True)
            (root / "etc" / name).write_bytes((GUEST / "micro" / "root" / "etc" / name).read_bytes())
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 old\n")
        self.guest = cc.Guest(root, self._chown, self.console)

    def _chown(self, path: Path, uid: int, gid: int) -> None:
        self.owners[str(path.relative_to(self.root))] = (uid, gid)

    def run(self, data: str | bytes) -> int:
        """Apply user-data and return the exit code."""
        return int(cc.run(self.guest, data if isinstance(data, bytes) else data.encode()))

    def config(self, text: str) -> int:
        """Apply a cloud-config document."""
        return self.run("#cloud-config\n" + text)

    def text(self, name: str) -> str:
        """Return a file's content."""
        return (self.root / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a fresh guest."""
    return Machine(tmp_path / "guest")


def test_hostname_and_hosts(machine: Machine) -> None:
    assert machine.config("hostname: node1\n") == 0
    assert machine.text("etc/hostname") == "node1\n"
    assert machine.text("etc/hosts") == "127.0.0.1 localhost\n127.0.1.1 node1\n"


def test_fqdn_is_an_alias(machine: Machine) -> None:
    assert machine.config("fqdn: node1.example.org\n") == 0
    assert machine.text("etc/hostname") == "node1\n"
    assert "127.0.1.1 node1.example.org node1\n" in machine.text("etc/hosts")


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("", "plain ü\n"),
        ("b64", base64.b64encode("plain ü\n".encode()).decode()),
        ("base64", base64.b64encode("plain ü\n".encode()).decode()),
        ("gz+b64", base64.b64encode(gzip.compress("plain ü\n".encode(), mtime=0)).decode()),
        ("gzip+base64", base64.b64encode(gzip.compress("plain ü\n".encode(), mtime=0)).decode()),
    ],
)
def test_write_files_encodings(machine: Machine, encoding: str, content: str) -> None:
    data = f"write_files:\n- path: /opt/a/file\n  encoding: '{encoding}'\n  content: {json.dumps(content)}\n"
    assert machine.config(data) == 0
    assert machine.text("opt/a/file") == "plain ü\n"


def test_write_files_block_text_mode_and_owner(machine: Machine) -> None:
    data = """
write_files:
- path: /opt/run
  permissions: '0750'
  owner: cms:sudo
  content: |
    #!/bin/sh
    echo hello
- {path: /opt/number, permissions: 0600, content: x}
- {path: /opt/default, content: x}
"""
    assert machine.config(data) == 0
    assert machine.text("opt/run") == "#!/bin/sh\necho hello\n"
    modes = {name: stat.S_IMODE((machine.root / "opt" / name).stat().st_mode) for name in ("run", "number", "default")}
    assert modes == {"run": 0o750, "number": 0o600, "default": 0o644}
    assert machine.owners["opt/run"] == (1000, 27)
    assert machine.owners["opt/default"] == (0, 0)


def test_write_files_appends_and_waits_for_users(machine: Machine) -> None:
    data = """
write_files:
- {path: /etc/list, content: "two\\n", append: true}
- {path: /home/ada/note, content: hi, owner: 'ada:ada', defer: true}
users: [ada]
"""
    (machine.root / "etc/list").write_text("one\n")
    assert machine.config(data) == 0
    assert machine.text("etc/list") == "one\ntwo\n"
    assert machine.owners["home/ada/note"] == (1001, 1001)


def test_runcmd_is_one_shell_script(machine: Machine) -> None:
    data = """
runcmd:
- cd sub && pwd > ../where
- X="a b"
- echo "$X" > text
- [sh, -c, 'printf "%s|" "$@" > args', name, 'a b', "it's", '$X']
"""
    (machine.root / "sub").mkdir()
    assert machine.config(data) == 0
    assert machine.text("where").strip().endswith("/sub")
    assert machine.text("sub/text") == "a b\n"
    assert machine.text("sub/args") == "a b|it's|$X|"


def test_bootcmd_comes_first_and_runcmd_last(machine: Machine) -> None:
    data = """
runcmd: ["cat made early > late"]
bootcmd: ["echo early > early"]
write_files: [{path: /made, content: "made\\n"}]
"""
    assert machine.config(data) == 0
    assert machine.text("late") == "made\nearly\n"


def test_failing_command_fails_the_whole(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    assert machine.config("runcmd: ['false']\nhostname: still\n") == 1
    assert machine.text("etc/hostname") == "still\n"
    assert "runcmd ended with 1" in capfd.readouterr().out


def test_keys_go_to_login_user_and_root(machine: Machine) -> None:
    (machine.root / "root/.ssh").mkdir(parents=True)
    (machine.root / "root/.ssh/authorized_keys").write_text("ssh-rsa OLD\n")
    assert machine.config(f"ssh_authorized_keys:\n- {KEY}\n- ssh-rsa OLD\n") == 0
    assert machine.text("home/cms/.ssh/authorized_keys") == f"{KEY}\nssh-rsa OLD\n"
    assert machine.text("root/.ssh/authorized_keys") == f"ssh-rsa OLD\n{KEY}\n"
    assert machine.owners["home/cms/.ssh/authorized_keys"] == (1000, 1000)
    assert stat.S_IMODE((machine.root / "home/cms/.ssh/authorized_keys").stat().st_mode) == 0o600
    assert stat.S_IMODE((machine.root / "home/cms/.ssh").stat().st_mode) == 0o700


def test_users_get_account_groups_sudo_and_key(machine: Machine) -> None:
    data = f"""
users:
- default
- name: ada
  gecos: Ada L
  groups: [sudo, lab]
  sudo: ["ALL=(ALL) NOPASSWD:ALL"]
  shell: /bin/bash
  ssh_authorized_keys: ["{KEY}"]
- name: ben
  uid: 1500
  sudo: false
  plain_text_passwd: secret
"""
    assert machine.config(data) == 0
    passwd = machine.text("etc/passwd").splitlines()
    assert "ada:x:1001:1001:Ada L:/home/ada:/bin/bash" in passwd
    assert "ben:x:1500:1500::/home/ben:/bin/sh" in passwd
    assert "sudo:x:27:cms,ada" in machine.text("etc/group").splitlines()
    assert any(line.startswith("lab:x:") and line.endswith(":ada") for line in machine.text("etc/group").splitlines())
    assert machine.text("etc/sudoers.d/90-cloud-init-users") == "ada ALL=(ALL) NOPASSWD:ALL\n"
    assert machine.text("home/ada/.ssh/authorized_keys") == f"{KEY}\n"
    assert "secret" not in machine.text("etc/shadow") + machine.text("console")
    assert "plain_text_passwd of ben is ignored" in machine.text("console")


def test_applying_twice_adds_nothing(machine: Machine) -> None:
    data = "users: [{name: ada, groups: sudo, sudo: 'ALL=(ALL) ALL'}]\n"
    assert machine.config(data) == 0
    before = {name: machine.text(name) for name in ("etc/passwd", "etc/group", "etc/sudoers.d/90-cloud-init-users")}
    assert machine.config(data) == 0
    assert {name: machine.text(name) for name in before} == before


def test_unknown_keys_are_named_on_the_console(machine: Machine) -> None:
    assert machine.config("timezone: Europe/Berlin\npackages: [vim]\nhostname: x\npreserve_hostname: true\n") == 0
    console = machine.text("console")
    assert "cloud-config: timezone is ignored" in console
    assert "cloud-config: packages is ignored" in console
    assert "preserve_hostname" not in console


@pytest.mark.parametrize("data", ["a: [", "- list\n", "text\n", "write_files: {path: x}\n", "users: [{shell: x}]\n"])
def test_malformed_config_fails_and_says_why(machine: Machine, data: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert machine.config(data) == 1
    assert "cloud-config" in capfd.readouterr().out


def test_one_bad_file_does_not_stop_the_other_modules(machine: Machine) -> None:
    data = "write_files: [{path: /x, encoding: rot13, content: x}]\nruncmd: ['touch ran']\n"
    assert machine.config(data) == 1
    assert (machine.root / "ran").exists()


def test_empty_config_is_fine(machine: Machine) -> None:
    assert machine.config("") == 0
    assert machine.config("{}\n") == 0


def test_script_and_compressed_data(machine: Machine) -> None:
    assert machine.run("#!/bin/sh\ntouch one\n") == 0
    assert machine.run(gzip.compress(b"#!/bin/sh\ntouch two; exit 3\n")) == 1
    assert (machine.root / "one").exists() and (machine.root / "two").exists()


def test_unknown_kind_is_told_apart_from_failure(machine: Machine) -> None:
    assert machine.run("echo no first line\n") == cc.UNKNOWN_KIND
    assert "ignored" in machine.text("console")


def test_mime_archive_runs_every_part(machine: Machine) -> None:
    parts = [
        ("text/cloud-config", "#cloud-config\nhostname: parts\n"),
        ("text/x-shellscript", "#!/bin/sh\ntouch script\n"),
    ]
    body = "".join(f"--B\nContent-Type: {kind}\n\n{text}\n" for kind, text in parts)
    assert machine.run(f'Content-Type: multipart/mixed; boundary="B"\nMIME-Version: 1.0\n\n{body}--B--\n') == 0
    assert machine.text("etc/hostname") == "parts\n"
    assert (machine.root / "script").exists()


def test_a_boothook_runs_now_before_other_parts_and_is_kept_for_every_boot(machine: Machine) -> None:
    body = "--B\nContent-Type: text/x-shellscript\n\n#!/bin/sh\necho script >>order\n"
    body += "--B\nContent-Type: text/cloud-boothook\n\n#cloud-boothook\n#!/bin/sh\necho hook >>order\n"
    assert machine.run(f'Content-Type: multipart/mixed; boundary="B"\nMIME-Version: 1.0\n\n{body}--B--\n') == 0
    assert machine.text("order") == "hook\nscript\n"
    kept = machine.root / "var/lib/cloud/instance/boothooks/part-001"
    assert kept.read_text().startswith("#!/bin/sh\n")
    assert kept.stat().st_mode & 0o777 == 0o700


def test_user_data_with_the_timer_of_a_lease_are_understood(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(cc.Guest, "execute", lambda _self, place, _label: ran.append(place.read_text()))
    assert machine.run(lease.with_timer("#cloud-config\nhostname: timed\n", 2e9)) == 0
    assert machine.text("etc/hostname") == "timed\n"
    assert "cms-lease set 2000000000" in ran[0]


def test_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("#cloud-config\nruncmd: ['touch here']\n")
    Machine(tmp_path / "guest")
    assert cc.main(["cloud_config.py", str(data), str(tmp_path / "guest")]) == (0 if os.geteuid() == 0 else 1)


def test_types(machine: Machine) -> None:
    values: list[Any] = ["0644", 0o644, "644", "0o644"]
    assert {cc._mode(value) for value in values} == {0o644}
