"""Completion: what the word being typed may become."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from cloudms.context import Context
from cloudms.doors.cli import main
from cloudms.doors.completion import _groups, candidates
from cloudms.verbs.completion import completion

CONFIG = """\
cloudmesh:
  alias:
    mine: laptop toy list
  cloud:
    laptop:
      cm: {kind: fake, active: true}
"""


@pytest.fixture(autouse=True)
def world(own_home: Path) -> None:
    """Make a configuration and a catalog with VMs."""
    folder = own_home / ".cloudmesh"
    folder.mkdir()
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    (folder / "cloudmesh.yaml").chmod(0o600)
    context = Context()
    for number in range(1, 5):
        cloud = "laptop" if number % 2 else "near"
        context.catalog.put("vm", {f"k{number}": {"name": f"web{number}", "cloud": cloud, "state": "running"}})
    context.catalog.put("key", {"k": {"name": "mykey"}})
    context.close()


def offered(words: Sequence[str], *, split_equals: bool = False) -> list[str]:
    context = Context()
    try:
        return [value for value, _ in candidates(context, words, split_equals=split_equals)]
    finally:
        context.close()


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["toy", "alone", "mine", "newawsvm", "laptop", "local"]),
        ("to", ["toy"]),
        ("la", ["laptop"]),
        ("laptop t", ["toy"]),
        ("toy li", ["list", "lines"]),
        ("laptop toy li", ["list", "lines"]),
        ("mine --i", ["--items"]),
        ("toy su", ["sub"]),
        ("toy sub ", ["deep"]),
        ("toy elsew", []),
        ("toy make ", ["web1", "web2", "web3", "web4"]),
        ("toy make web1 w", ["web2", "web3", "web4"]),
        ("toy make web1,w", ["web1,web1", "web1,web2", "web1,web3", "web1,web4"]),
        ("laptop toy make w", ["web1", "web3"]),
        ("toy show ", ["web1", "web2", "web3", "web4"]),
        ("toy show web1 w", []),
        ("toy types x --color ", ["red", "green"]),
        ("toy types x --color g", ["green"]),
        ("toy types x --color=g", ["--color=green"]),
        ("toy types x --key m", ["mykey"]),
        ("toy types x --file ", [":files"]),
        ("toy types x --file=", [":files"]),
        ("toy types -- ", [":files"]),
        ("toy types --number 3 ", []),
        ("toy types --force x we", ["web1", "web2", "web3", "web4"]),
        ("toy list --cl", ["--cloud"]),
        ("toy list --cloud ", ["laptop", "local"]),
        ("toy list -o y", ["yaml"]),
        ("toy list --output ", ["table", "json", "yaml", "csv", "name"]),
        ("toy list --items 3 --it", []),
        ("toy types --label a=b --lab", ["--label"]),
        ("toy list --dry", []),
        ("toy make --dry", ["--dry-run"]),
        ("toy tune clo", ["cloud="]),
        ("toy tune default clo", ["cloud="]),
        ("toy tune cloud=", ["cloud=laptop", "cloud=local"]),
        ("toy tune cloud=la", ["cloud=laptop"]),
        ("toy tune key=m", ["key=mykey"]),
        ("toy tune ttl=", []),
        ("toy tune x --like clo", ["cloud"]),
        ("nonsense x", []),
        ("--dry-run toy ma", ["make", "many"]),
    ],
)
def test_candidates(typed: str, expected: list[str]) -> None:
    assert sorted(offered(typed.split(" "))) == sorted(expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["toy", "types", "x", "--color", "="], ["red", "green"]),
        (["toy", "types", "x", "--color", "=", "g"], ["green"]),
        (["toy", "tune", "cloud", "="], ["laptop", "local"]),
        (["toy", "tune", "cloud", "=", "la"], ["laptop"]),
        (["toy", "make", "'web1"], ["web1"]),
        (["toy", "make", "we\\b1"], ["web1"]),
    ],
)
def test_candidates_as_bash_splits_words(words: list[str], expected: list[str]) -> None:
    assert offered(words, split_equals=True) == expected


def test_groups_are_offered_whether_described_or_only_named_by_vms() -> None:
    context = Context()
    context.catalog.put("group", {name: {"name": name} for name in ("web", "empty")})
    for key, group in (("k1", "web"), ("k2", "lab"), ("k3", "lab")):
        context.catalog.put("vm", {key: {"name": key, "cloud": "laptop", "group": group}})
    try:
        assert [name for name, _text in _groups(context, "group", "", "")] == ["empty", "web", "lab"]
        assert [name for name, _text in _groups(context, "group", "", "la")] == ["lab"]
    finally:
        context.close()


def test_options_that_were_given_are_not_offered_again() -> None:
    found = offered(["toy", "list", "-q", "--items", "3", "--"])
    assert "--quiet" not in found
    assert "--items" not in found
    assert "--silent" in found


def test_zsh_and_fish_are_told_what_things_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("__complete", "zsh", "toy", "make", "web1")) == 0
    assert capsys.readouterr().out == "web1\tlaptop running\n"
    assert main(("__complete", "bash", "toy", "make", "web1")) == 0
    assert capsys.readouterr().out == "web1\n"


@pytest.mark.parametrize("words", [[], ["bash"], ["bash", "-o"], ["bash", "-o", "x"], ["zsh", "\udcff"]])
def test_completion_never_complains(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(("__complete", *words)) in (0, 1)
    assert capsys.readouterr().err == ""


def test_a_broken_configuration_is_no_reason_to_complain(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_home / ".cloudmesh" / "cloudmesh.yaml").write_text("cloudmesh: [")
    assert main(("__complete", "bash", "x", "")) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("shell", "check"), [("bash", ["bash", "-n"])])
def test_the_script_is_one_the_shell_reads(shell: str, check: list[str], tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text(completion(None, shell))
    subprocess.run([*check, str(file)], check=True)


def test_bash_completes(tmp_path: Path) -> None:
    script = completion(None, "bash")
    fake = tmp_path / "cms"
    fake.write_text('#!/bin/sh\nshift\nprintf "%s\\n" "$@" > "$TMPDIR/asked"\nprintf "web1\\ta VM\\nweb 2\\n"\n')
    fake.chmod(0o755)
    code = f"""{script}
COMP_WORDS=(cms vm stop we) COMP_CWORD=3
_cms
printf '%s|' "${{COMPREPLY[@]}}"
"""
    ran = subprocess.run(
        ["bash", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
    )
    assert ran.stdout == "web1|web\\ 2|"
    assert (tmp_path / "asked").read_text().split() == ["bash", "vm", "stop", "we"]
