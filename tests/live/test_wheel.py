"""The wheel as a stranger gets it: built, installed alone into a fresh environment, used without any optional part."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

import cloudms
from cloudms.record import Record

pytestmark = [pytest.mark.live, pytest.mark.services]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "cloudms"
EXTRA = 'pip install "cloudms[libvirt]"'


class Installed(Record):
    """The wheel, the folder where it was installed, and a home of its own."""

    wheel: Path
    environment: Path
    home: Path

    @property
    def package(self) -> Path:
        """Return the folder of the installed package."""
        return next(self.environment.glob("lib/python3*/site-packages/cloudms"))

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment with nothing else of ours on its way."""
        env = {
            "PATH": f"{self.environment}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            argv,
            env=env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def __call__(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `cms` with words; it must end with `code`."""
        done = self.run("cms", *words)
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done


def succeed(*argv: str) -> None:
    """Run a command of this environment that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def cms(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel from the working tree and install it, with what it requires and no more."""
    folder = tmp_path_factory.mktemp("wheel")
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    succeed(sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-input", str(wheel))
    (folder / "home").mkdir(mode=0o700)
    return Installed(wheel=wheel, environment=folder / "venv", home=folder / "home")


def metadata(cms: Installed) -> Message:
    """Return the wheel's METADATA."""
    with ZipFile(cms.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(wheel.read(name))


def files(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Return content and the right to execute of every file of a package, by its path."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), bool(file.stat().st_mode & 0o100))
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_everything_of_the_source_is_installed_as_it_is(cms: Installed) -> None:
    ours, theirs = files(SOURCE), files(cms.package)
    assert sorted(theirs) == sorted(ours)
    assert [name for name in ours if theirs[name] != ours[name]] == []
    needed = (
        "py.typed",
        "images/index.json",
        "images/guest/micro/packages.txt",
        "images/guest/micro/root/usr/lib/cms/rc",
        "images/guest/debian/root/etc/fstab",
        "clouds/libvirt/packages.txt",
        "clouds/libvirt/accel_probe.S",
    )
    assert [name for name in needed if name not in theirs] == []


def test_nothing_else_is_in_the_wheel(cms: Installed) -> None:
    with ZipFile(cms.wheel) as wheel:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
        assert tops == {"cloudms", f"cloudms-{cloudms.__version__}.dist-info"}
        assert not [name for name in wheel.namelist() if name.endswith(".pyc")]


def test_the_licence_is_in_the_wheel_and_named(cms: Installed) -> None:
    about = metadata(cms)
    assert (about["License-Expression"], about.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    with ZipFile(cms.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("licenses/LICENSE"))
        assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()


def test_the_metadata_says_what_it_is_and_what_it_needs(cms: Installed) -> None:
    about = metadata(cms)
    assert (about["Name"], about["Version"]) == ("cloudms", cloudms.__version__)
    assert about["Requires-Python"] == ">=3.11"
    assert about["Summary"]
    assert str(about.get_payload()).startswith("# cloudms\n")
    required = about.get_all("Requires-Dist", [])
    base = sorted(line.split("<")[0].split(">")[0].lower() for line in required if "extra ==" not in line)
    assert base == ["click", "prompt-toolkit", "pyyaml"]
    assert {"libvirt", "all"} <= set(about.get_all("Provides-Extra", []))
    assert any(line.startswith("libvirt-python") and "'libvirt'" in line for line in required)


def test_the_base_brings_four_packages(cms: Installed) -> None:
    there = {folder.name.partition("-")[0].lower() for folder in cms.package.parent.glob("*.dist-info")}
    assert there == {"cloudms", "click", "prompt_toolkit", "pyyaml", "wcwidth"}


def test_help_and_version(cms: Installed) -> None:
    assert "Usage: cms [CLOUD] COMMAND" in cms("--help").stdout
    assert cms("--version").stdout == f"cms {cloudms.__version__}\n"
    extras = json.loads(cms("version", "-o", "json").stdout)["extras"]
    assert extras["libvirt"] is extras["aws"] is extras["rest"] is False
    assert cms.run("python", "-m", "cloudms", "--version").stdout == f"cms {cloudms.__version__}\n"


def test_the_public_names_can_be_imported(cms: Installed) -> None:
    done = cms.run("python", "-W", "error", "-c", "from cloudms import Cms, Config, Counter; print(Cms.__module__)")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_doctor_names_the_missing_part(cms: Installed) -> None:
    done = cms("doctor", "-o", "json", code=6)
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert (checks["extra libvirt"]["state"], checks["extra libvirt"]["hint"]) == ("fail", EXTRA)
    assert json.loads(done.stderr.splitlines()[-1])["code"] == "not_ready"
    assert EXTRA in cms("doctor", code=6).stdout


def test_the_local_cloud_is_listed_and_says_in_a_line_what_it_lacks(cms: Installed) -> None:
    assert [row["name"] for row in json.loads(cms("cloud", "list", "-o", "json").stdout)] == ["local"]
    done = cms("vm", "list", code=9)
    assert done.stderr.splitlines()[-1] == f"hint:  {EXTRA}"
    assert len([line for line in done.stderr.splitlines() if line.startswith("error:")]) == 1


def test_a_boot_is_refused_before_anything_is_made(cms: Installed) -> None:
    done = cms("vm", "boot", "micro", code=9)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: booting on cloud 'local' needs the optional part 'libvirt' of cloudms",
        f"hint:  {EXTRA}",
    ]
    assert not (cms.home / ".cloudmesh" / "images").exists()
    assert cms("operation", "list", "-o", "json").stdout == "[]\n"


def test_the_fake_cloud_works(cms: Installed) -> None:
    cms("vm", "boot", "micro", "--name", "web", "--count", "2", "--cloud", "fake")
    rows = json.loads(cms("vm", "list", "--cloud", "fake", "-o", "json").stdout)
    assert sorted((row["name"], row["cloud"], row["state"]) for row in rows) == [
        ("web-1", "fake", "running"),
        ("web-2", "fake", "running"),
    ]
    cms("vm", "delete", "web-[1-2]", "--yes")
    assert cms("vm", "list", "--cloud", "fake", "-o", "json").stdout == "[]\n"
