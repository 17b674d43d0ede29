"""The checklists for newcomers, followed step by step with the code they print."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_the_cloud_of_the_page_keeps_the_contract(tiny: Path) -> None:
    (tiny / "tiny_subject.py").write_text(blocks("how-to-add-a-cloud.md", "python")[1])
    contracts = ROOT / "tests" / "contracts"
    words = ["-m", "pytest", "-p", "tiny_subject", "-k", "tiny", f"{contracts}/test_cloud.py"]
    told = run(words, tiny, contracts)
    passed = re.search(r"(\d+) passed", told)
    assert passed, told
    assert int(passed[1]) >= 25, told


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


def test_a_plug_in_cannot_take_a_word_of_the_house(tmp_path: Path, own_home: Path) -> None:
    page = "how-to-add-a-command.md"
    code = blocks(page, "python")[0].replace('"note", "list"', '"vm", "notes"')
    place = installed(tmp_path, "notes", code, blocks(page, "toml")[0])
    assert "note" not in cms("--help", place)
    told = json.loads(cms("doctor -o json", place, code=6))
    assert any("reserved" in check["message"] for check in told)
