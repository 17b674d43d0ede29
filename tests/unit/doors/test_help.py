"""Help: from the index alone for nouns, in full for one command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloudms import registry
from cloudms.doors import help as texts
from cloudms.registry import Index, VerbEntry
from tests.unit.doors.conftest import Cms


def test_general_help_lists_every_noun_with_its_line(cms: Cms) -> None:
    out = cms("--help").out
    assert "\nMore\n  alone  stand alone\n  toy    things to play with\n" in out
    assert "Usage: cms [CLOUD] COMMAND" in out
    assert "elsewhere" not in out


def test_nouns_stand_in_groups(cms: Cms, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = ("version", "vm", "image")
    entries = [VerbEntry(path=(noun, "list"), module="x", summary="List", doors=("cli",)) for noun in listed]
    hidden = VerbEntry(path=("ghost", "list"), module="x", summary="List", doors=("rest",))
    monkeypatch.setattr(registry, "_index", index.with_(verbs=(*entries, hidden), texts={"vm": "SSH and more"}))
    out = cms("--help").out
    order = ("Machines", "  vm ", "What they are made of", "  image", "This program", "  version")
    places = [out.index(word) for word in order]
    assert places == sorted(places)
    assert "ghost" not in out
    assert "SSH and more" in out


def test_help_of_a_noun_lists_its_commands(cms: Cms) -> None:
    out = cms("toy", "--help").out
    assert "\n  Things to play with\n" in out
    assert "  list      list toys (also: ls)\n" in out


def test_help_of_a_noun_names_its_other_words(cms: Cms, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = VerbEntry(path=("key", "list"), module="x", summary="List keys", doors=("cli",))
    monkeypatch.setattr(registry, "_index", index.with_(verbs=(entry,)))
    assert cms("keypair").out.endswith("key is also called keypair.\n")


def test_help_of_a_reading_command(cms: Cms) -> None:
    out = cms("toy", "list", "--help").out
    assert out == (
        "Usage: cms toy list [OPTIONS]\n"
        "\n"
        "  List toys.\n"
        "\n"
        "  They stand in a row.\n"
        "\n"
        "      cms toy list    shows them\n"
        "\n"
        "Options\n"
        "      --silent N     how many clouds do not answer\n"
        "      --items N      how many there are (default: 2)\n"
        "      --cached       ask no cloud\n"
        "      --cloud CLOUD  cloud to ask\n"
        "\n"
        "Options of every command\n"
        "  -o, --output table|json|yaml|csv|name\n"
        "                                  how results are shown (default: table)\n"
        "      --columns TEXT              columns of the table or csv, joined by commas\n"
        "      --no-header                 leave out the column names\n"
        "  -q, --quiet                     say nothing but results and errors\n"
        "      --debug                     show the traceback of a bug\n"
        "\n"
        "Example: cms toy list --silent 1\n"
        "Also: cms toy ls\n"
    )


def test_help_of_a_changing_command_has_dry_run(cms: Cms) -> None:
    out = cms("toy", "make", "--help").out
    assert "Usage: cms toy make NAMES... [OPTIONS]\n" in out
    assert "--dry-run" in out
    assert "-y, --yes" in out
    assert "--fail TEXT" in out
    assert "(may be repeated)" in out


def test_help_shows_every_kind_of_parameter(cms: Cms) -> None:
    out = cms("toy", "types", "--help").out
    assert "Usage: cms toy types FIRST [OTHERS...] [OPTIONS] -- COMMAND...\n" in out
    for line in (
        "  -n, --number N",
        "      --color red|green",
        "  -l, --label KEY=VALUE",
        "      --key KEY",
        "      --file PATH",
        "      --force ",
        "      --check, --no-check",
        "(default: 7)",
        "(default: yes)",
    ):
        assert line in out, line
    assert "required" in cms("toy", "needs", "--help").out


def test_help_fits_the_terminal(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "width", lambda _: 60)
    for words in (["--help"], ["toy"], ["toy", "make", "-h"]):
        assert max(map(len, cms(*words).out.splitlines())) <= 100


def test_general_help_imports_neither_verbs_nor_parser() -> None:
    code = (
        "import sys; from cloudms.doors.cli import main; main(['--version']); main(['--help']); main(['--help']);"
        "heavy = {'click', 'yaml', 'ruamel', 'sqlite3', 'asyncio', 'subprocess', 'libvirt', 'inspect'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)  # the first run makes the index
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
