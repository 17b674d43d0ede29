"""The checklists for newcomers, followed step by step with the code they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cloudms import registry
from cloudms.balancers.base import STATUSES
from cloudms.balancers.settings import Settings
from cloudms.clouds.base import all_roles
from cloudms.config import known
from cloudms.verbs.version import EXTRAS
from tests.house.source import DOCS, ROOT


def blocks(page: str, language: str) -> list[str]:
    """Return the code of a page."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def installed(folder: Path, name: str, code: str, toml: str) -> Path:
    """Put a module and the entry points that its pyproject declares where Python looks, as pip would."""
    (folder / f"{name}.py").write_text(code)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    group, entry = re.findall(r'entry-points\."([\w.]+)"\]\n(.*)', toml)[0]
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry.replace(chr(34), '')}\n")
    return folder


def run(words: list[str], *places: Path, code: int = 0) -> str:
    """Run a Python program that sees `places`, and return what it printed on stdout."""
    path = os.pathsep.join(map(str, (*places, ROOT / "src", ROOT)))
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def cms(words: str, place: Path, code: int = 0) -> str:
    """Run a command of `cms`."""
    return run(["-m", "cloudms", *words.split()], place, code=code)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Return the folder where the cloud of the page is installed."""
    page = "how-to-add-a-cloud.md"
    return installed(tmp_path, "tiny", blocks(page, "python")[0], blocks(page, "toml")[0])


def judged(place: Path, kind: str, narrow: str = "", code: int = 0) -> str:
    """Run the contract on the cloud whose subject the page prints, and return what pytest printed."""
    subject = blocks("how-to-add-a-cloud.md", "python")[1].replace('kind="tiny"', f'kind="{kind}"')
    (place / f"{kind}_subject.py").write_text(subject)
    contracts = ROOT / "tests" / "contracts"
    return run(
        ["-m", "pytest", "-p", f"{kind}_subject", "-k", kind + narrow, f"{contracts}"],
        place,
        contracts,
        code=code,
    )


def test_the_cloud_of_the_page_keeps_the_contract(tiny: Path) -> None:
    told = judged(tiny, "tiny")
    passed = re.search(r"(\d+) passed", told)
    assert passed, told
    assert int(passed[1]) >= 25 + len(all_roles()), told
    assert set(re.findall(r"^[a-z ]+?  +(no|\?|\d+ of \d+)$", told, re.MULTILINE)) == {"no"}


LIAR = """\
from cloudms.clouds.base import Power, Spot
from tiny import TinyCloud


class LiarCloud(TinyCloud, Spot):
    kind = "liar"

    def stop_vm(self, vm):
        return vm
"""


def test_a_role_that_a_cloud_only_declares_and_one_that_it_only_has_are_told(tiny: Path) -> None:
    installed(tiny, "liar", LIAR, '[project.entry-points."cloudms.clouds"]\nliar = "liar:LiarCloud"\n')
    told = judged(tiny, "liar", " and (spot or lacks or table)", code=1)
    assert "liar declares 'spot', and no case of it passed: 1 failed" in told
    assert "what it can do it does not declare\nE       assert ['stop_vm'] == []" in told
    assert "liar has no 'reboot'" not in told


@pytest.mark.parametrize("kind", registry.FAMILIES["cloudms.clouds"])
def test_every_cloud_stands_where_the_checklist_says(kind: str) -> None:
    cls = registry.load("cloudms.clouds", kind)
    assert kind in known.KINDS
    assert kind in known.OPTIONS
    assert f"]({kind}.md)" in (DOCS / "README.md").read_text(encoding="utf-8")
    parts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    if cls.extra:
        assert cls.extra in EXTRAS
        assert cls.extra in re.split(r"[\[\],]", parts["all"][0])
        assert parts[cls.extra]


def test_the_cloud_of_the_page_works_from_the_command_line(tiny: Path, own_home: Path) -> None:
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(
        blocks("how-to-add-a-cloud.md", "yaml")[0] + "    local: {cm: {active: false}}\n"
    )
    assert "cms config set cloud.shelf.folder" in json.loads(cms("cloud check shelf -o json", tiny, code=6))[0]["hint"]
    (own_home / "shelf").mkdir()
    printed = re.findall(r"^    cms (.*)$", (DOCS / "how-to-add-a-cloud.md").read_text(), re.MULTILINE)
    assert len(printed) == 3
    for line in printed[:2]:
        cms(line, tiny)
    (vm,) = json.loads(cms("vm list -o json", tiny))
    assert (vm["name"], vm["cloud"], vm["state"]) == ("box1", "shelf", "running")
    cms("vm suspend box1", tiny, code=9)
    cms(printed[2], tiny)
    assert json.loads(cms("vm list -o json", tiny)) == []
    assert "tiny" in json.loads(cms("cloud roles -o json", tiny))[0]


def test_the_command_of_the_page_works(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-command.md"
    place = installed(tmp_path, "notes", blocks(page, "python")[0], blocks(page, "toml")[0])
    assert "Notes that are pinned to VMs" in cms("note --help", place)
    cms("vm boot micro --cloud fake --name web1", place)
    assert "would pin a note" in cms("note pin web1 careful --dry-run", place)
    assert json.loads(cms("note list -o json", place)) == []
    cms("note pin web1 careful", place)
    (vm,) = json.loads(cms("note list -o json", place))
    assert vm["labels"] == {"note": "careful"}
    assert "note.pin" in cms("event list careful -o csv", place)


def test_the_store_of_a_plug_in_is_chosen_by_the_configuration(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-store.md"
    code = "from cloudms.catalog.memory import MemoryCatalog\n\n\nclass ShelfCatalog(MemoryCatalog):\n    pass\n"
    place = installed(tmp_path, "shelf", code, blocks(page, "toml")[0])
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(blocks(page, "yaml")[0])
    cms("vm boot micro --cloud fake --name web1", place)
    assert not (folder / "catalog.sqlite").exists()


def test_the_balancer_of_the_page_is_chosen_by_its_word(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-balancer.md"
    place = installed(tmp_path, "paper", blocks(page, "python")[0], blocks(page, "toml")[0])
    printed = re.findall(r"^    cms (.*)$", (DOCS / page).read_text(), re.MULTILINE)
    assert len(printed) == 5
    for line in printed[:3]:
        cms(line, place)
    told = json.loads(cms("balancer list -o json", place))
    assert [(each["name"], each["provider"], each["servers"]) for each in told] == [("shop", "paper", {"ready": 2})]
    for line in printed[3:]:
        cms(line, place)
    assert json.loads(cms("balancer list -o json", place)) == []


@pytest.mark.parametrize("name", Settings.field_names())
def test_every_setting_of_a_balancer_is_explained(name: str) -> None:
    section = (DOCS / "balancer.md").read_text(encoding="utf-8").split("\n## Settings\n")[1].split("\n## ")[0]
    assert re.search(rf"^\| .*`{name}`", section, re.MULTILINE)


@pytest.mark.parametrize(("status", "text"), STATUSES.items())
def test_every_status_of_a_member_is_explained(status: str, text: str) -> None:
    assert f"| `{status}` | {text} |" in (DOCS / "balancer.md").read_text(encoding="utf-8")


def test_the_plug_in_of_the_page_is_the_one_that_is_installed_in_a_test() -> None:
    page, case = "how-to-add-a-plugin.md", ROOT / "tests" / "cases" / "plugin"
    files = {file.read_text(encoding="utf-8") for file in (case / "pyproject.toml", *case.rglob("*.py"))}
    printed = [*blocks(page, "toml"), *blocks(page, "python")]
    assert len(printed) == 4
    assert set(printed) <= files


def test_a_plug_in_cannot_take_a_word_of_the_house(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-command.md"
    code = blocks(page, "python")[0].replace('"note", "list"', '"vm", "list"')
    place = installed(tmp_path, "notes", code, blocks(page, "toml")[0])
    told = json.loads(cms("doctor -o json", place, code=6))
    assert any("the command 'vm list' is built in" in check["message"] for check in told)
    assert json.loads(cms("vm list --cached -o json", place)) == []
    (plugin,) = json.loads(cms("plugin list -o json", place))
    assert plugin["adds"] == ["command note pin"]


def test_the_policy_of_the_page_works_from_the_command_line(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-policy.md"
    installed(tmp_path, "even", blocks(page, "python")[0], blocks(page, "toml")[0])
    file = tmp_path / "even.yaml"
    file.write_text(blocks(page, "yaml")[0])
    (row,) = json.loads(cms(f"scaler simulate day --days 1 --file {file} -o json", tmp_path))
    assert row["name"] == "even"
    assert row["most"] == 12
    assert row["late"] > 0
    file.write_text(blocks(page, "yaml")[0].replace("value", "valeu"))
    cms(f"scaler simulate day --days 1 --file {file}", tmp_path, code=2)
