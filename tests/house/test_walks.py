"""Pages with the mark `<!-- walk: fake -->` are walked: every command they print is run, in order, and succeeds."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest

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
