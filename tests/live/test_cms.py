"""The whole of cms on this machine: real VMs through the command line, as a person would use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cloudms.clouds.libvirt import host
from tests.images import provide

pytestmark = pytest.mark.live

CMS = [sys.executable, "-m", "cloudms"]
LABEL = f"test=cms-{os.getpid()}"
BASE = f"it-{os.getpid()}"


class Cms:
    """Runs `cms` in one home for all tests of this module, so that the image is copied once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {**os.environ, "HOME": str(home), "CLOUDMESH_CONFIG_DIR": str(home / ".cloudmesh")}

    def __call__(self, *words: str, code: int = 0, limit: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `code`."""
        done = subprocess.run(
            [*CMS, *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=limit,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """Return what a command prints as JSON."""
        found = json.loads(self(*words, "-o", "json").stdout)
        return found if isinstance(found, list) else [found]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [*CMS, *words], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cms]:
    """Return the command with a home that has the micro image."""
    home = tmp_path_factory.mktemp("home")
    provide("micro", home)
    runner = Cms(home)
    yield runner
    runner("vm", "delete", "--label", LABEL, "--yes", "--missing-ok")
    runner("sweep", "--cloud", "local", "--apply", "--yes")


@pytest.fixture(scope="module")
def vm(cms: Cms) -> dict[str, Any]:
    """Return one VM that tests share and leave running."""
    return boot(cms, f"{BASE}-shared")[0]


def boot(cms: Cms, name: str, *more: str, image: str = "micro") -> list[dict[str, Any]]:
    """Boot on the local cloud and return the VMs."""
    return cms.rows("vm", "boot", image, "--name", name, "--cloud", "local", "--label", LABEL, *more)


def virsh(*words: str) -> str:
    """Return what virsh prints."""
    argv = ["virsh", "-c", host.default_uri(), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.strip()


def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until `check` holds."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.5)


def test_three_vms_answer_ssh_under_their_own_names(cms: Cms) -> None:
    made = boot(cms, f"{BASE}-many", "--count", "3")
    assert len({one["public_ips"][0] for one in made}) == 3
    for one in made:
        assert cms("ssh", one["name"], "--", "hostname").stdout.strip() == one["name"]
    listed = {row["name"]: row for row in cms.rows("vm", "list", "--label", LABEL)}
    for one in made:
        row = listed[one["name"]]
        assert (row["cloud"], row["state"], row["image"], row["id"]) == ("local", "running", "micro", one["id"])
        assert {"flavor", "private_ips", "group", "owner", "created", "fetched"} <= row.keys()
    cms("vm", "delete", *(one["name"] for one in made), "--yes")
    assert not [name for name in virsh("list", "--all", "--name").split() if name.startswith(f"{BASE}-many")]


def test_the_exit_code_of_a_remote_command_is_ours(cms: Cms, vm: dict[str, Any]) -> None:
    cms("ssh", vm["name"], "--", "exit 7", code=7)
    assert cms("ssh", vm["name"], "--", "echo", "two  words").stdout == "two  words\n"


def test_the_host_key_was_pinned_from_the_console(cms: Cms, vm: dict[str, Any]) -> None:
    pins = (cms.home / ".cloudmesh" / "known_hosts").read_text()
    assert f"cms-{vm['token']} ssh-ed25519 " in pins
    assert "-----BEGIN SSH HOST KEY KEYS-----" in cms("vm", "console", vm["name"]).stdout


def test_plain_ssh_works_with_the_printed_config(cms: Cms, vm: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(cms("ssh-config").stdout)
    done = subprocess.run(
        ["ssh", "-F", str(config), vm["name"], "id -un"], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == vm["login"]


def test_suspend_save_and_stop_are_what_virsh_says(cms: Cms, vm: dict[str, Any]) -> None:
    name = vm["name"]
    cms("ssh", name, "--", "echo kept > /tmp/memory")
    for words, state, domstate in (
        (["vm", "suspend", name], "suspended", "paused"),
        (["vm", "resume", name], "running", "running"),
        (["vm", "stop", name, "--save"], "saved", "shut off"),
        (["vm", "start", name], "running", "running"),
    ):
        assert cms.rows(*words)[0]["state"] == state
        assert virsh("domstate", name) == domstate
    assert cms("ssh", name, "--", "cat /tmp/memory").stdout == "kept\n"


def test_ports_are_forwarded_and_taken_back(cms: Cms, vm: dict[str, Any]) -> None:
    name = vm["name"]
    cms("ssh", name, "--", "sudo sh -c 'cd /tmp; python3 -m http.server 80 >/dev/null 2>&1 &'", limit=60)
    cms("vm", "ip", "set", name, vm["public_ips"][0], "--port", "8080=80")
    import urllib.request

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{vm['public_ips'][0]}:8080/", timeout=20) as answer:
                return bool(answer.status == 200)
        except OSError:  # its Python is still starting
            return False

    until(answers, 120)
    ports = {row["name"]: row["ports"] for row in cms.rows("vm", "ip", "list", name)}
    assert ports[vm["public_ips"][0]]["8080"] == 80


def test_a_domain_of_somebody_else_is_listed_and_never_deleted(cms: Cms) -> None:
    name = f"{BASE}-theirs"
    machine = "<memory unit='MiB'>32</memory><os><type arch='x86_64'>hvm</type></os>"
    file = cms.home / "theirs.xml"
    file.write_text(f"<domain type='qemu'><name>{name}</name>{machine}</domain>")
    virsh("define", str(file))
    try:
        row = next(row for row in cms.rows("vm", "list") if row["name"] == name)
        assert (row["origin"], row["state"]) == ("foreign", "stopped")
        refused = cms("vm", "delete", name, "--yes", code=11)
        assert "was not made by cloudms" in refused.stderr
        assert name not in cms("sweep", "--cloud", "local").stdout
        cms("vm", "start", name)
        assert virsh("domstate", name) == "running"
        cms("vm", "stop", name, "--force")
        assert cms.rows("vm", "adopt", name)[0]["origin"] == "adopted"
        cms("vm", "delete", name, "--yes")
        assert name not in virsh("list", "--all", "--name").split()
    finally:
        subprocess.run(["virsh", "-c", host.default_uri(), "undefine", name], capture_output=True, check=False)


def test_ctrl_c_during_a_boot_leaves_what_the_catalog_says(cms: Cms) -> None:
    name = f"{BASE}-int"
    process = cms.start("vm", "boot", "micro", "--name", name, "--cloud", "local", "--label", LABEL)
    until(lambda: name in virsh("list", "--name").split())
    os.killpg(process.pid, signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "cms operation resume" in err
    row = next(row for row in cms.rows("vm", "list") if row["name"] == name)
    assert row["state"] == "running"
    cms("vm", "wait", name)
    cms("vm", "delete", name, "--yes")


def test_a_guest_that_never_answers_is_kept_and_its_console_is_shown(cms: Cms) -> None:
    name = f"{BASE}-late"
    done = cms("vm", "boot", "micro", "--name", name, "--cloud", "local", "--label", LABEL, "--timeout", "0.3", code=10)
    assert "is kept" in done.stderr
    assert f"cms vm wait {name}" in done.stderr
    assert cms.rows("vm", "wait", name)[0]["state"] == "running"
    cms("vm", "delete", name, "--yes")


def test_delete_takes_disks_and_pins_with_it(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    made = boot(cms, f"{BASE}-gone")[0]
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", cms.env["CLOUDMESH_CONFIG_DIR"])  # an ordinary user's pool lies there
    pool = host.pool_dir(host.default_uri())
    assert [file for file in pool.iterdir() if made["token"] in file.name]
    cms("vm", "delete", made["name"], "--yes")
    assert not [file for file in pool.iterdir() if made["token"] in file.name]
    assert made["token"] not in (cms.home / ".cloudmesh" / "known_hosts").read_text()


def test_user_data_runs_at_first_boot_and_ready_waits_for_it(cms: Cms, tmp_path: Path) -> None:
    script = tmp_path / "setup.sh"
    script.write_text("#!/bin/sh\nsleep 2\necho done-by-user-data > /etc/made-at-first-boot\n")
    name = f"{BASE}-data"
    boot(cms, name, "--user-data", str(script))
    assert cms("ssh", name, "--", "cat /etc/made-at-first-boot").stdout == "done-by-user-data\n"
    cms("vm", "delete", name, "--yes")


def test_what_cannot_be_is_said_in_a_line(cms: Cms, vm: dict[str, Any]) -> None:
    for words, code, text in (
        (["vm", "boot", "nope", "--cloud", "local"], 3, "nope"),
        (["vm", "boot", "micro", "--cloud", "locl"], 3, "local"),
        (["vm", "boot", "micro", "--flavor", "huge", "--cloud", "local"], 3, "huge"),
        (["vm", "boot", "micro", "--key", "nokey", "--cloud", "local"], 3, "nokey"),
        (["vm", "boot", "micro", "--name", vm["name"], "--cloud", "local"], 4, "taken"),
        (["vm", "info", "nothere"], 3, "nothere"),
        (["vm", "stop"], 2, "no VM was named"),
        (["vm", "boot", "micro", "--user-data", "/does/not/exist"], 3, "/does/not/exist"),
    ):
        done = cms(*words, code=code)
        assert done.stdout == ""
        assert text in done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3
