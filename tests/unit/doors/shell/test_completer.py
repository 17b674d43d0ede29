"""What Tab offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.context import Context
from cloudms.doors.shell.completer import offers
from cloudms.doors.shell.shell import Shell
from tests.unit.doors.shell.conftest import CONFIG


@pytest.fixture(autouse=True)
def world(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a configuration, a catalog with VMs, and a folder with files."""
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)
    (folder / "cloudmesh.yaml").chmod(0o600)
    context = Context()
    for name in ("web1", "web2", "db 1"):
        context.catalog.put("vm", {name: {"name": name, "cloud": "near", "state": "running"}})
    context.close()
    desk = tmp_path / "desk"
    (desk / "sub").mkdir(parents=True)
    (desk / "lab.cms").write_text("")
    (desk / ".hidden").write_text("")
    (desk / "sub" / "in.cms").write_text("")
    monkeypatch.chdir(desk)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("to", ["toy "]),
        ("ne", ["near ", "newawsvm "]),
        ("so", ["source "]),
        ("toy li", ["list ", "lines "]),
        ("cms toy li", ["list ", "lines "]),
        ("cms sour", []),
        ("near to", ["toy "]),
        ("alone; toy li", ["list ", "lines "]),
        ("alone && to", ["toy "]),
        ("toy list --it", ["--items "]),
        ("toy types x --color ", ["red ", "green "]),
        ("toy types x --color=g", ["--color=green "]),
        ("toy show w", ["web1 ", "web2 "]),
        ("toy show 'w", ["web1 ", "web2 "]),
        ("toy show d", ["'db 1' "]),
        ("toy show 'db ", ["'db 1' "]),
        ("toy make web1 w", ["web2 "]),
        ("toy types x --file ", ["lab.cms ", "sub/"]),
        ("toy types x --file=su", ["--file=sub/"]),
        ("help toy su", ["sub "]),
        ("? toy su", ["sub "]),
        ("?to", ["toy "]),
        ("source ", ["lab.cms ", "sub/"]),
        ("source sub/", ["sub/in.cms "]),
        ("source .h", [".hidden "]),
        ("cd ", ["sub/"]),
        ("toy list > l", ["lab.cms "]),
        ("!ls la", ["lab.cms "]),
        ("source nowhere/", []),
        ("echo w", []),
        ("toy elsew", []),
        ("nonsense x", []),
    ],
)
def test_offers(shell: Shell, text: str, expected: list[str]) -> None:
    assert sorted(offer.value for offer in offers(shell, text)) == sorted(expected)


def test_an_offer_takes_the_place_of_what_was_typed(shell: Shell) -> None:
    (offer,) = offers(shell, "toy show 'web1")
    assert (offer.start, offer.text) == (9, "near running")


def test_variables_are_offered(shell: Shell) -> None:
    shell.variables.put("lab_size", "3")
    assert [offer.value for offer in offers(shell, "echo $lab")] == ["$lab_size "]


def test_nothing_typed_offers_every_command(shell: Shell) -> None:
    found = {offer.value.strip() for offer in offers(shell, "")}
    assert {"toy", "alone", "near", "mine", "help", "quit", "var"} <= found


def test_completion_leaves_no_cloud_behind(shell: Shell) -> None:
    offers(shell, "near toy list ")
    assert shell.context.chosen_cloud == ""
