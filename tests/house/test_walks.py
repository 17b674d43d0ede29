"""Pages with the mark `<!-- walk: fake -->` are walked: every command they print is run, in order, and succeeds."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

from cloudms import paths
from cloudms.doors.cli import main
from tests.house.source import DOCS, ROOT
from tests.house.typed import lines_of, split

MARK = "<!-- walk: fake -->"
PAGES = sorted(file for file in DOCS.glob("*.md") if MARK in file.read_text(encoding="utf-8"))
CONFIG = """\
cloudmesh:
  default: {cloud: fake}
  cloud:
    local: {cm: {active: false}}
    fake: {cm: {kind: fake, active: true}, boot_seconds: 0.01}
"""
FIT = "".join(re.findall(r"```yaml\n(name: fit\n.*?)```", (DOCS / "experiment.md").read_text("utf-8"), re.DOTALL))
HERD = "".join(re.findall(r"```yaml\n(policies:.*?)```", (DOCS / "group.md").read_text("utf-8"), re.DOTALL))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g laptop\n"


@pytest.fixture
def desk(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with the files that pages speak of, and a configuration with the fake cloud alone."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    (folder / "cloudmesh.yaml").chmod(0o600)
    (tmp_path / "setup.yaml").write_text("#cloud-config\nhostname: lab\n")
    (tmp_path / "work.pub").write_text(KEY)
    (tmp_path / "fit.yaml").write_text(FIT)
    (tmp_path / "herd.yaml").write_text(HERD)
    (tmp_path / "fit.py").write_text("print(1)\n")
    (tmp_path / "site.yaml").write_text("- hosts: web\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_prints_works(page: Path, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in lines_of(page) if line.whole and not line.text[0].isupper()]
    assert lines
    for line in lines:
        code = main(split(line.text))
        told = capfd.readouterr()
        assert code == 0 or line.text.endswith("|| true"), f"{line.place}: {line.text}\n{told.err}"


def test_the_lines_of_the_shell_work(desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clouds = "".join(
        f"    {name}: {{cm: {{kind: fake}}, default: {{image: micro}}}}\n" for name in ("aws", "openstack")
    )
    (paths.home() / "cloudmesh.yaml").write_text(CONFIG + clouds)
    blocks = re.findall(r"```cms\n(.*?)```", (DOCS / "shell.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    (desk / "page.cms").write_text("".join(blocks))
    code = main(["page.cms"])
    told = capfd.readouterr()
    assert code == 0, told.err
    assert f"room 7, cloud openstack, home {Path.home()}, nobody" in told.out


def test_enough_pages_are_walked() -> None:
    assert len(PAGES) >= 12


def test_the_programs_of_the_pages_run(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(programs) >= 2
    for number, program in enumerate(programs):
        exec(compile(program, f"python.md, program {number + 1}", "exec"), {})  # noqa: S102 (the page's own program)
    assert "the name 'db' is taken" in capsys.readouterr().out


def test_the_program_of_the_front_page_runs(desk: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(program.replace('"local"', '"fake"'), "README.md", "exec"), {})  # noqa: S102 (its own program)
