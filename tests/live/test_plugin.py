"""Plug-ins as strangers write them: distributions installed beside cloudms into a fresh environment, and used."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cloudms.record import Record

pytestmark = [pytest.mark.live, pytest.mark.services]

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
CONFIG = """\
cloudmesh:
  cloud:
    local: {cm: {active: false}}
    near: {cm: {kind: fake, active: true}, default: {image: micro}, boot_seconds: 0.01}
    luna: {cm: {kind: moon, active: true}, default: {image: micro}, boot_seconds: 0.01}
"""


class Installed(Record):
    """An environment, and a home with a configuration."""

    environment: Path
    home: Path

    @property
    def env(self) -> dict[str, str]:
        """Return the variables of a person who has nothing of ours but this environment."""
        path = f"{self.environment}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", "LOGNAME": "ada", "SHELL": "/bin/sh"}

    def __call__(self, *words: str, code: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `cms`; it must end with `code`."""
        done = subprocess.run(
            ["cms", *words], env=self.env, cwd=self.home, input=stdin, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, f"cms {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done

    def rows(self, *words: str, code: int = 0) -> Any:
        """Return what a command prints as JSON."""
        return json.loads(self(*words, "-o", "json", code=code).stdout)

    def pip(self, *words: str) -> None:
        """Run pip for this environment, without any index."""
        python = self.environment / "bin" / "python"
        succeed(sys.executable, "-m", "pip", "--python", str(python), *words, "--quiet", "--no-input")


def succeed(*argv: str) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"


def built(source: Path, folder: Path) -> str:
    """Return the wheel of a distribution, made from a copy of its source."""
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", ".venv", ".git"))
    out = folder / f"wheel-{source.name}"
    succeed(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(copy))
    (wheel,) = out.glob("*.whl")
    return str(wheel)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installed, dict[str, str]]:
    """Install the wheel of cloudms alone, with what the tests have for its requirements, and build the plug-ins."""
    folder = tmp_path_factory.mktemp("plugin")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    cms = Installed(environment=folder / "venv", home=folder / "home")
    (cms.home / ".cloudmesh").mkdir(mode=0o700, parents=True)
    (cms.home / ".cloudmesh" / "cloudmesh.yaml").write_text(CONFIG)
    (cms.home / ".cloudmesh" / "cloudmesh.yaml").chmod(0o600)
    (site,) = (folder / "venv").glob("lib/python3*/site-packages")
    required = Path(pytest.__file__).parents[1]
    (site / "required.pth").write_text(f"{required}\n")
    wheels = {name: built(CASES / name, folder) for name in ("plugin", "plugin_broken")}
    own = folder / "cloudms"
    own.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, own)
    shutil.copytree(ROOT / "src", own / "src", ignore=shutil.ignore_patterns("__pycache__"))
    cms.pip("install", "--no-deps", "--no-index", built(own, folder / "out"))
    return cms, wheels


@pytest.fixture(scope="module")
def cms(bare: tuple[Installed, dict[str, str]]) -> Installed:
    """Use cloudms once without the plug-in, and install it then."""
    cms, wheels = bare
    assert cms.rows("plugin", "list") == []
    assert "crater" not in cms("--help").stdout
    cms("crater", "list", code=2)
    cms.pip("install", "--no-deps", "--no-index", wheels["plugin"])
    return cms


def test_what_it_adds_is_listed(cms: Installed) -> None:
    (plugin,) = cms.rows("plugin", "list")
    assert plugin == {
        "kind": "plugin",
        "schema": 1,
        "name": "cloudms-moon",
        "version": "1.2",
        "adds": [
            "cloud moon",
            "format markdown",
            "command crater list",
            "command crater dig",
            "command crater collapse",
            "command vm weigh",
        ],
        "broken": "",
    }
    assert any("cloudms-moon 1.2" in check["message"] for check in json.loads(doctored(cms)))


def doctored(cms: Installed) -> str:
    """Return what the doctor says, whatever else it finds on this machine."""
    done = subprocess.run(
        ["cms", "doctor", "-o", "json"], env=cms.env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 6), done.stderr
    return done.stdout


def test_help_and_completion_know_it(cms: Installed) -> None:
    assert re.search(r"^  crater +craters, where things can be put$", cms("--help").stdout, re.MULTILINE)
    assert "dig" in cms("crater", "--help").stdout
    assert re.search(r"weigh +weigh VMs.*\(plug-in cloudms-moon\)", cms("vm", "--help").stdout)
    assert "how deep, in metres" in cms("help", "crater", "dig").stdout
    assert "markdown" in cms("vm", "list", "--help").stdout
    assert cms("__complete", "bash", "crater", "d").stdout == "dig\n"
    assert cms("__complete", "bash", "vm", "wei").stdout == "weigh\n"


def test_its_noun_works_like_any_other(cms: Installed) -> None:
    assert "would dig 2 craters" in cms("crater", "dig", "tycho", "clavius", "-d", "5", "--dry-run").stdout
    assert cms.rows("crater", "list") == []
    made = cms.rows("crater", "dig", "tycho", "clavius", "--depth", "5")
    assert [(row["kind"], row["name"], row["depth_m"]) for row in made] == [
        ("crater", "tycho", 5),
        ("crater", "clavius", 5),
    ]
    assert cms("crater", "list", "-o", "name").stdout == "clavius\ntycho\n"
    assert cms("__complete", "bash", "crater", "dig", "ty").stdout == "tycho\n"
    assert "crater dig" in cms("operation", "list").stdout
    cms("crater", "dig", "x", "--depth", "0", code=2)


def test_its_cloud_and_its_command_of_a_built_in_noun(cms: Installed) -> None:
    cms("vm", "boot", "--cloud", "luna", "--name", "eagle")
    cms("vm", "boot", "--cloud", "near", "--name", "web")
    assert sorted(row["name"] for row in cms.rows("vm", "list")) == ["eagle", "web"]
    assert cms.rows("vm", "weigh", "eagle")[0]["grams"] == 5
    assert "tranquility" in cms("location", "list", "--cloud", "luna").stdout
    assert cms.rows("cloud", "roles")[0]["moon"] is True


def test_its_format(cms: Installed) -> None:
    cms("crater", "dig", "tycho", "--depth", "5")
    told = cms("crater", "list", "-o", "markdown").stdout
    assert told.startswith("| name | depth_m |\n|---|---|\n")
    assert "| tycho | 5 |\n" in told


def test_the_shell_has_it(cms: Installed) -> None:
    script = "crater dig plato --depth 7\nvm list --cached -o name\ncrater list -o markdown | grep plato\nhelp crater\n"
    told = cms(stdin=script).stdout
    assert "| plato | 7 |\n" in told
    assert "Craters, where things can be put" in told


def test_its_bug_is_laid_at_its_own_door(cms: Installed) -> None:
    told = cms("crater", "collapse", code=1).stderr
    assert "this is a bug in the plug-in 'cloudms-moon': ZeroDivisionError: the rim gave way" in told
    assert "report it to its authors" in told


def test_a_bug_in_its_cloud_does_not_hide_the_others(cms: Installed) -> None:
    cms("config", "set", "cloud.luna.meteorite=yes")
    try:
        done = cms("cloud", "check", code=12)
        assert "cloud 'luna' has a bug in cloudms_moon.cloud, reach: ZeroDivisionError" in done.stderr
        assert re.search(r"^near .* ok ", done.stdout, re.MULTILINE)
    finally:
        cms("config", "set", "cloud.luna.meteorite=")


@contextmanager
def served(cms: Installed) -> Iterator[tuple[str, str]]:
    """Run the REST service; yield its address and the token."""
    process = subprocess.Popen(
        ["cms", "serve", "--port", "0"], env=cms.env, cwd=cms.home, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        token = Path(process.stdout.readline().strip().removeprefix("the token is in ")).read_text().strip()
        yield address, token
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def asked(address: str, token: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """Return the answer of the service to a GET, or to a POST of `body`."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}{path}", data=data, headers=headers)  # noqa: S310 (our own service)
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 (our own service)
        return json.load(answer)


def test_rest_has_it(cms: Installed) -> None:
    with served(cms) as (address, token):
        begun = asked(address, token, "/v1/crater/dig", {"names": ["kepler"], "depth": 9})
        end = time.monotonic() + 60
        while "kepler" not in json.dumps(found := asked(address, token, "/v1/crater/list")):
            assert time.monotonic() < end, begun
            time.sleep(0.1)
        assert {"kepler": 9}.items() <= {row["name"]: row["depth_m"] for row in found["items"]}.items()
        described = asked(address, token, "/openapi.json")
        assert {"/v1/crater/dig", "/v1/crater/list", "/v1/vm/weigh"} <= set(described["paths"])


def test_a_broken_plug_in_is_named_and_stops_nothing(bare: tuple[Installed, dict[str, str]], cms: Installed) -> None:
    _, wheels = bare
    cms.pip("install", "--no-deps", "--no-index", wheels["plugin_broken"])
    done = cms("vm", "list", "--cached", "-o", "json")
    assert isinstance(json.loads(done.stdout), list)
    plugins = {row["name"]: row for row in cms.rows("plugin", "list")}
    assert plugins["cloudms-moon"]["broken"] == ""
    assert plugins["cloudms-sand"]["adds"] == ["cloud dust", "format sand", "command crater fill"]
    told = plugins["cloudms-sand"]["broken"]
    for why in (
        "No module named 'cloudms_sand.gone'",
        "SystemExit: 3",
        "the command 'vm list' is built in",
        "the command 'crater list' is already brought by 'cloudms-moon'",
        "the cloud 'fake' is built in",
        "the format 'markdown' is already brought by 'cloudms-moon'",
        "No module named 'no_such_sdk'",
    ):
        assert why in told
    assert "the plug-in 'cloudms-sand' is broken" in cms("crater", "list").stderr
    assert cms("crater", "fill").stdout == "filled\n"
    assert "no_such_sdk" in cms("cloud", "roles").stderr
    assert "bug in the plug-in 'cloudms-sand': KeyError" in cms("crater", "list", "-o", "sand", code=1).stderr
    checks = {check["name"]: check for check in json.loads(doctored(cms))}
    assert checks["plug-in cloudms-sand"]["hint"] == "update it, or: pip uninstall cloudms-sand"
    cms.pip("uninstall", "--yes", "cloudms-sand")
    assert [row["name"] for row in cms.rows("plugin", "list")] == ["cloudms-moon"]


def test_it_goes_away_with_its_distribution(cms: Installed) -> None:
    cms.pip("uninstall", "--yes", "cloudms-moon")
    assert cms.rows("plugin", "list") == []
    cms("crater", "list", code=2)
    done = cms("vm", "list", "--cached", "-o", "name")
    assert "web" in done.stdout
