"""Where an image's packages come from: the host's own Debian mirrors, or Debian's."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudms.errors import NotReady
from cloudms.images import apt
from cloudms.images.apt import Source

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return an empty apt folder."""
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


@pytest.fixture
def keyring(tmp_path: Path) -> Path:
    """Return Debian's keys, as far as their existence goes."""
    path = tmp_path / "keys.gpg"
    path.write_bytes(b"")
    return path


DEB822 = f"""\
Types: deb deb-src
# a comment
URIs: http://mirror.example/debian
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By: {KEYS}

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: {KEYS}
"""


def test_both_file_formats_are_read(etc: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    (etc / "sources.list").write_text(
        "# deb http://no.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian bookworm main contrib # why\n"
        "deb-src http://one.example/debian bookworm main\n"
    )
    assert apt.host_sources(etc) == [
        Source("http://one.example/debian", ("bookworm",), ("main", "contrib"), "/k.gpg"),
        Source("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main", "contrib"), KEYS),
        Source("http://mirror.example/debian-security", ("bookworm-security",), ("main",), KEYS),
    ]


def test_host_mirrors_are_used(etc: Path, keyring: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822)
    found = apt.debian_sources("bookworm", etc, keyring)
    assert [(s.uri, s.suites, s.components) for s in found] == [
        ("http://mirror.example/debian", ("bookworm", "bookworm-updates"), ("main",)),
        ("http://mirror.example/debian-security", ("bookworm-security",), ("main",)),
    ]


def test_mirrors_of_another_release_are_moved_to_ours(etc: Path, keyring: Path) -> None:
    (etc / "sources.list.d/debian.sources").write_text(DEB822.replace("bookworm", "trixie"))
    found = apt.debian_sources("bookworm", etc, keyring)
    assert {suite for source in found for suite in source.suites} == {
        "bookworm",
        "bookworm-updates",
        "bookworm-security",
    }
    assert all(source.uri.startswith("http://mirror.example/") for source in found)


def test_third_parties_and_other_distributions_are_left_out(etc: Path, keyring: Path) -> None:
    (etc / "sources.list").write_text(
        "deb https://packages.vendor.example/php bookworm main\n"
        "deb https://download.vendor.example/linux/debian bookworm stable\n"
        "deb [signed-by=/usr/share/keyrings/vendor.gpg] https://apt.vendor.example/debian bookworm main\n"
        "deb http://archive.ubuntu.example/ubuntu noble main\n"
        "deb http://mirror.example/debian sid main\n"
    )
    found = apt.debian_sources("bookworm", etc, keyring)
    assert [source.uri for source in found] == [
        "http://ftp.debian.org/debian",
        "http://security.debian.org/debian-security",
    ]
    assert {source.signed_by for source in found} == {str(keyring)}


def test_missing_keys_name_the_package(etc: Path, tmp_path: Path) -> None:
    with pytest.raises(NotReady) as error:
        apt.debian_sources("bookworm", etc, tmp_path / "none.gpg")
    assert "debian-archive-keyring" in error.value.hint


def test_stanza_is_deb822() -> None:
    source = Source("http://m/debian", ("a", "b"), ("main",), "/k.gpg")
    assert source.stanza() == "Types: deb\nURIs: http://m/debian\nSuites: a b\nComponents: main\nSigned-By: /k.gpg\n"


@pytest.mark.parametrize(
    ("uri", "inside"),
    [
        ("http://localhost:3142/debian", "http://ftp.debian.org/debian"),
        ("file:///srv/debian-security", "http://security.debian.org/debian-security"),
        ("http://mirror.example/debian", "http://mirror.example/debian"),
    ],
)
def test_mirror_inside_a_machine(uri: str, inside: str) -> None:
    assert apt.reachable(Source(uri, ("bookworm",), ("main",))).uri == inside


def test_release_time_is_the_newest_index(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for name, date in (
        ("bookworm", "Sat, 11 Apr 2026 10:00:00 UTC"),
        ("bookworm-updates", "Sat, 11 Apr 2026 12:00:00 UTC"),
    ):
        (tmp_path / f"lists/m_debian_dists_{name}_InRelease").write_text(f"Origin: Debian\nDate: {date}\n")
    assert apt.release_time(tmp_path, "bookworm") == 1775908800
    assert apt.release_time(tmp_path, "trixie") == 0
