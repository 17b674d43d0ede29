"""./cms with stand-ins for everything it calls: what it installs, says, repairs and leaves alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cms"
TOOLS = [
    "cat",
    "chmod",
    "cp",
    "cut",
    "env",
    "flock",
    "grep",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "paste",
    "readlink",
    "rm",
    "sed",
]
TOOLS += ["sh", "sleep", "sort", "tail", "touch", "tr", "true"]
PACKAGES = """# a comment
hypervisor | all | qemu-sign | runs the machines
keeper | root | /nonexistent/*/keeper | the account they run with
mapper | user | mapper-sign | builds without being root
python3-venv | build | @venv | keeps things apart
python3-dev | build | @headers | Python's part of the binding
present | all | sh | is there
also-present | all | /et*/passw* | is there
"""

PYTHON = r"""#!/bin/sh
# Stands for Python: answers the questions ./cms asks, makes an environment of shell scripts, and is its pip.
case "$1 $2" in
    '-c import sys; sys.version_info'*) [ -e "$STUBS/old-python" ] && exit 1; echo "$0" ;;
    '-c import ensurepip'*) [ ! -e "$STUBS/no-venv" ] ;;
    '-c import os, sys, sysconfig'*) [ ! -e "$STUBS/no-headers" ] ;;
    '-c import sys, pip'*) [ -e "${0%/*}/pip" ] ;;
    '-m venv')
        echo venv >>"$STUBS/log"
        rm -rf "$4" && mkdir -p "$4/bin" && touch "$4/pyvenv.cfg" "$4/bin/pip"
        chmod +x "$4/bin/pip"
        echo "VIRTUAL_ENV=$4" >"$4/bin/activate"
        cp "$0" "$4/bin/python" ;;
    '-m pip')
        for last; do :; done
        echo "pip $last" >>"$STUBS/log"
        [ -e "$STUBS/slow" ] && sleep 0.3
        [ -e "$STUBS/die" ] && kill -KILL "$PPID"
        if [ -e "$STUBS/pip-fails" ] && case $last in *$(cat "$STUBS/pip-fails")*) true ;; *) false ;; esac; then
            echo 'error: it does not build' >&2
            exit 1
        fi
        printf '#!/bin/sh\nprintf "cms"; printf " <%%s>" "$@"; echo\n' >"${0%/*}/cms"
        chmod +x "${0%/*}/cms" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""

APT_GET = r"""#!/bin/sh
case "$*" in
    *--simulate*) exit 0 ;;
    *update*) echo "apt update" >>"$STUBS/log"; exit 0 ;;
esac
names=${*##*--no-install-recommends }
echo "apt install $names" >>"$STUBS/log"
case " $names " in *" unknown "*) exit 100 ;; esac
for name in $names; do
    case $name in
        hypervisor) touch "$STUBS/qemu-sign"; chmod +x "$STUBS/qemu-sign" ;;
        mapper) touch "$STUBS/mapper-sign"; chmod +x "$STUBS/mapper-sign" ;;
        *-venv) rm -f "$STUBS/no-venv" ;;
        *-dev) rm -f "$STUBS/no-headers" ;;
        python3) rm -f "$STUBS/old-python" ;;
    esac
done
"""

SUDO = r"""#!/bin/sh
[ -e "$STUBS/asks-password" ] && exit 1
[ "$1" = -n ] && shift
echo "sudo ${1##*/}" >>"$STUBS/log"
exec "$@"
"""


class Checkout:
    """A checkout with a space in its path, and a PATH that holds nothing but stand-ins and plain tools."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my checkout"
        self.stubs = folder / "stubs"
        (self.root / "src/cloudms/clouds/libvirt").mkdir(parents=True)
        self.stubs.mkdir()
        shutil.copy(SCRIPT, self.root / "cms")
        (self.root / "pyproject.toml").write_text("[project]\n")
        (self.root / "src/cloudms/clouds/libvirt/packages.txt").write_text(PACKAGES)
        for tool in TOOLS:
            (self.stubs / tool).symlink_to(str(shutil.which(tool)))
        self.stub("python3", PYTHON)
        self.stub("apt-get", APT_GET)
        self.stub("apt-cache", "#!/bin/sh\necho '  Candidate: 3.11.2-1'\n")
        self.stub("uname", "#!/bin/sh\necho Linux\n")
        self.user(0)
        self.env = {"PATH": str(self.stubs), "STUBS": str(self.stubs), "HOME": str(folder), "TMPDIR": str(folder)}

    def stub(self, name: str, text: str) -> None:
        (self.stubs / name).write_text(text)
        (self.stubs / name).chmod(0o755)

    def user(self, uid: int) -> None:
        self.stub("id", f"#!/bin/sh\necho {uid}\n")

    def mark(self, name: str, text: str = "") -> None:
        (self.stubs / name).write_text(text)

    def start(
        self, *args: str, cwd: Path | None = None, script: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(script or self.root / "cms"), *args],
            cwd=cwd or self.root,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, cwd: Path | None = None, script: Path | None = None, **env: str) -> tuple[int, str, str]:
        process = self.start(*args, cwd=cwd, script=script, **env)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def log(self) -> list[str]:
        """Return what was called since the last look."""
        path = self.stubs / "log"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    @property
    def ready(self) -> bool:
        return (self.root / ".venv/.ready").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_the_first_run_as_root_installs_what_is_missing_and_starts(checkout: Checkout) -> None:
    checkout.mark("no-headers")
    code, out, err = checkout.run("vm", "list", "a b")
    assert (code, out) == (0, "cms <vm> <list> <a b>\n")
    # the stand-in is no interpreter of the distribution, so the package with its headers is not guessed
    assert checkout.log()[0] == "apt install hypervisor keeper"
    assert "hypervisor                  runs the machines" in err
    assert "mapper" not in err


def test_every_later_run_only_starts(checkout: Checkout) -> None:
    checkout.run()
    assert checkout.ready
    checkout.log()
    for tool in ("python3", "apt-get", "flock", "mktemp", "readlink"):
        (checkout.stubs / tool).unlink()
    assert checkout.run("vm") == (0, "cms <vm>\n", "")
    assert checkout.log() == []


def test_an_ordinary_user_installs_through_sudo(checkout: Checkout) -> None:
    checkout.user(1000)
    checkout.stub("sudo", SUDO)
    code, out, err = checkout.run("x")
    assert (code, out) == (0, "cms <x>\n")
    assert "sudo env" in checkout.log()
    assert err.index("mapper") < err.index("installing them")


@pytest.mark.parametrize("sudo", [False, True])
def test_without_root_the_command_is_named_and_the_rest_goes_on(checkout: Checkout, sudo: bool) -> None:
    checkout.user(1000)
    checkout.mark("asks-password")
    if sudo:
        checkout.stub("sudo", SUDO)
    code, out, err = checkout.run("x")
    assert (code, out) == (0, "cms <x>\n")
    assert "sudo apt-get install --no-install-recommends hypervisor mapper && ./cms --bootstrap\n" in err
    assert not [line for line in checkout.log() if line.startswith("apt install")]


def test_one_unknown_package_does_not_spoil_the_others(checkout: Checkout) -> None:
    packages = checkout.root / "src/cloudms/clouds/libvirt/packages.txt"
    packages.write_text("unknown | all | no-sign | is not in this distribution\n" + PACKAGES)
    code, _, err = checkout.run()
    assert code == 0
    assert "unknown could not be installed" in err
    assert "apt install hypervisor" in checkout.log()


def test_a_machine_without_apt_is_told_what_is_missing(checkout: Checkout) -> None:
    (checkout.stubs / "apt-get").unlink()
    code, _, err = checkout.run()
    assert code == 0
    assert "there is no apt to install them: hypervisor keeper" in err


def test_a_python_that_is_too_old_is_replaced_by_the_distributions(checkout: Checkout) -> None:
    checkout.mark("old-python")
    code, _, err = checkout.run(CMS_PYTHON="")
    assert "runs cloudms (3.11 or newer)" in err
    if (
        code == 0
    ):  # where /usr/bin/python3 itself is new enough it was taken, which is no stand-in: then nothing was asked
        assert checkout.log()[0].startswith("apt install python3 ")


def test_a_python_that_cannot_make_environments_ends_it_in_a_line(checkout: Checkout) -> None:
    checkout.mark("no-venv")
    code, out, err = checkout.run()
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].endswith("cannot make environments: its package for venv is missing")


def test_a_changed_pyproject_brings_it_up_to_date_with_the_same_parts(checkout: Checkout) -> None:
    checkout.run("--bootstrap", "dev,all")
    assert checkout.log()[-1] == "pip .[all,dev,libvirt,ssh]"
    later = time.time() + 100
    os.utime(checkout.root / "pyproject.toml", (later, later))
    assert checkout.run("x")[:2] == (0, "cms <x>\n")
    assert checkout.log() == ["apt install keeper", "pip .[all,dev,libvirt,ssh]"]
    assert checkout.run("x") == (0, "cms <x>\n", "")


def test_preparing_parts_that_are_there_does_nothing_and_preparing_again_does(checkout: Checkout) -> None:
    checkout.run("--bootstrap", "dev")
    checkout.log()
    assert checkout.run("--bootstrap", "--yes", "dev") == (0, "", "cms: ready\n")
    assert checkout.log() == []
    checkout.run("--bootstrap")
    assert checkout.log()[-1] == "pip .[dev,libvirt,ssh]"


@pytest.mark.parametrize("words", [("demo", "--cloud", "aws"), ("demo", "--cloud=aws", "--yes")])
def test_the_demo_of_aws_brings_what_it_needs_once(checkout: Checkout, words: tuple[str, ...]) -> None:
    checkout.run()
    checkout.log()
    assert checkout.run(*words)[:2] == (0, "cms " + " ".join(f"<{word}>" for word in words) + "\n")
    assert checkout.log()[-1] == "pip .[emulator,libvirt,ssh]"
    assert checkout.run(*words)[2] == ""
    assert checkout.log() == []
    checkout.run("demo")
    assert checkout.log() == []


def test_a_binding_that_does_not_build_costs_only_the_local_cloud(checkout: Checkout) -> None:
    checkout.mark("pip-fails", "libvirt")
    code, out, err = checkout.run("x")
    assert (code, out) == (0, "cms <x>\n")
    assert "no local cloud" in err
    assert "it does not build" in (checkout.root / ".venv/bootstrap.log").read_text()
    assert checkout.run("x") == (0, "cms <x>\n", "")


def test_a_failed_installation_shows_its_end_and_leaves_nothing_that_looks_ready(checkout: Checkout) -> None:
    checkout.mark("pip-fails", ".")
    code, out, err = checkout.run("x")
    assert (code, out) == (1, "")
    assert "    error: it does not build" in err
    assert not checkout.ready
    (checkout.stubs / "pip-fails").unlink()
    assert checkout.run("x")[:2] == (0, "cms <x>\n")


def test_a_failed_update_goes_on_with_what_there_was(checkout: Checkout) -> None:
    checkout.run()
    checkout.mark("pip-fails", ".")
    later = time.time() + 100
    os.utime(checkout.root / "pyproject.toml", (later, later))
    code, out, err = checkout.run("x")
    assert (code, out) == (0, "cms <x>\n")
    assert "using it as it is until ./cms --bootstrap" in err
    assert checkout.run("x") == (0, "cms <x>\n", "")


def test_a_killed_run_leaves_nothing_that_looks_ready_and_the_next_finishes(checkout: Checkout) -> None:
    checkout.mark("die")
    assert checkout.run("x")[0] != 0
    assert not checkout.ready
    (checkout.stubs / "die").unlink()
    assert checkout.run("x")[:2] == (0, "cms <x>\n")


def test_two_first_runs_prepare_once(checkout: Checkout) -> None:
    checkout.mark("slow")
    both = [checkout.start("a"), checkout.start("b")]
    results = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in results] == ["cms <a>\n", "cms <b>\n"]
    assert checkout.log().count("venv") == 1


def test_a_moved_checkout_gets_an_environment_of_its_new_place(checkout: Checkout) -> None:
    checkout.run()
    checkout.log()
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    assert checkout.run("x")[:2] == (0, "cms <x>\n")
    assert "venv" in checkout.log()


def test_a_folder_that_is_no_environment_is_not_deleted(checkout: Checkout) -> None:
    (checkout.root / ".venv").mkdir()
    (checkout.root / ".venv/letter").write_text("dear")
    code, _, err = checkout.run()
    assert code == 1
    assert "is in the way" in err
    assert (checkout.root / ".venv/letter").exists()


def test_it_can_be_called_through_links_from_anywhere(checkout: Checkout, tmp_path: Path) -> None:
    link = tmp_path / "first"
    link.symlink_to(checkout.root / "cms")
    second = tmp_path / "second"
    second.symlink_to("first")
    assert checkout.run("x", cwd=tmp_path, script=second)[:2] == (0, "cms <x>\n")
    assert checkout.run("y", cwd=tmp_path, script=second) == (0, "cms <y>\n", "")


@pytest.mark.parametrize(("answer", "installed"), [("n", False), ("y", True)])
def test_on_a_terminal_sudo_is_asked_for(checkout: Checkout, answer: str, installed: bool) -> None:
    checkout.user(1000)
    checkout.stub("sudo", SUDO)
    ours, theirs = os.openpty()
    os.write(ours, f"{answer}\n".encode())
    command = [str(checkout.root / "cms"), "x"]
    done = subprocess.run(
        command, env=checkout.env, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True
    )
    said = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert done.stdout == b"cms <x>\n"
    assert "install these with sudo? [y/N]" in said
    assert ("sudo env" in checkout.log()) is installed
