"""Prefix words, aliases, and options that stand before the words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cloudms.doors import words
from cloudms.errors import Invalid, NotFound
from cloudms.registry import Index
from tests.unit.doors.conftest import Cms


class Known:
    """A configuration with aliases and clouds."""

    def __init__(self, aliases: Mapping[str, str], clouds: tuple[str, ...] = ("aws", "laptop")) -> None:
        self._aliases = aliases
        self._clouds = clouds
        self.asked = 0

    def aliases(self) -> Mapping[str, str]:
        self.asked += 1
        return self._aliases

    def has_cloud(self, name: str) -> bool:
        return name in self._clouds


KNOWN = Known(
    {
        "newawsvm": "aws toy make",
        "ll": "toy list --items 3",
        "again": "again toy",
        "a": "b toy",
        "b": "a toy",
        "list": "toy list",
        "quoted": 'toy show "two words"',
        "empty": " ",
        "open": "toy 'show",
        "toy": "alone",
    }
)


@pytest.mark.parametrize(
    ("typed", "words_", "cloud"),
    [
        ("toy list", "toy list", ""),
        ("laptop toy list", "toy list", "laptop"),
        ("newawsvm web1", "toy make web1", "aws"),
        ("ll --silent 1", "toy list --items 3 --silent 1", ""),
        ("laptop ll", "toy list --items 3", "laptop"),
        ("laptop aws toy", "aws toy", "laptop"),
        ("toy", "toy", ""),
        ("nothing known", "nothing known", ""),
        ("-o json laptop toy list", "toy list -o json", "laptop"),
        ("--dry-run ll -- -x", "toy list --items 3 --dry-run -- -x", ""),
        ("laptop", "", "laptop"),
        ("", "", ""),
    ],
)
def test_words_are_sorted_out(index: Index, typed: str, words_: str, cloud: str) -> None:
    found = words.sort_out(typed.split(), index, lambda: KNOWN)
    assert (" ".join(found.words), found.cloud) == (words_, cloud)


def test_quotes_in_an_alias_hold_words_together(index: Index) -> None:
    assert words.sort_out(["quoted"], index, lambda: KNOWN).words == ("toy", "show", "two words")


@pytest.mark.parametrize("typed", ["empty", "open", "-o", "--cloud", "again", "a"])
def test_what_cannot_be_read_is_refused(index: Index, typed: str) -> None:
    with pytest.raises((Invalid, NotFound)) as caught:
        words.sort_out([typed], index, lambda: KNOWN)
    assert caught.value.hint


def test_the_configuration_is_not_read_for_a_noun(index: Index) -> None:
    known = Known({})
    words.sort_out(["toy", "list"], index, lambda: known)
    words.sort_out(["keypair", "list"], index, lambda: known)
    assert known.asked == 0


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("vm list -o json", "json"),
        ("vm list --output=yaml", "yaml"),
        ("vm list -ojson", "json"),
        ("-o json vm list -o csv", "csv"),
        ("vm list -o", ""),
        ("vm run -- -o json", None),
        ("vm list", None),
    ],
)
def test_an_option_is_found_in_words_not_parsed(typed: str, found: str | None) -> None:
    assert words.option_of(typed.split(), "-o", "--output") == found


def test_clashes_are_told(index: Index) -> None:
    told = words.clashes({"toy": "alone", "ll": "toy list"}, ["help", "aws"], index)
    assert len(told) == 2
    assert "'toy'" in told[0]
    assert "--cloud help" in told[1]


def configured(home: Path, text: str) -> None:
    folder = home / ".cloudmesh"
    folder.mkdir(exist_ok=True)
    (folder / "cloudmesh.yaml").write_text(text)
    (folder / "cloudmesh.yaml").chmod(0o600)


CONFIG = """\
cloudmesh:
  alias:
    mine: laptop toy list
  cloud:
    laptop:
      cm: {kind: fake, active: true}
"""


def test_a_cloud_before_the_words_is_the_option_cloud(cms: Cms, own_home: Path) -> None:
    configured(own_home, CONFIG)
    assert [item["cloud"] for item in cms("laptop", "toy", "list", "-o", "json").json] == ["laptop", "laptop"]
    assert cms("laptop", "toy", "list", "--cloud", "other", "-o", "json").json[0]["cloud"] == "other"
    assert cms("laptop", "toy", "data").code == 0
    assert "no command after the cloud 'laptop'" in cms("laptop").err
    assert cms("laptop", "--help").out == cms("--help").out


def test_an_alias_of_the_person_is_expanded(cms: Cms, own_home: Path) -> None:
    configured(own_home, CONFIG)
    assert cms("mine", "--items", "1", "-o", "json").json[0]["cloud"] == "laptop"
