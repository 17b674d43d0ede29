"""The staged root file system: paths under /usr, owners in a table, nothing outside the folder."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from cloudms.errors import Invalid
from cloudms.images.tree import Tree, merged


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> tarfile.TarFile:
    """Return an archive in memory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as out:
        for info, content in members:
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    stream.seek(0)
    return tarfile.open(fileobj=stream)


def member(name: str, kind: bytes = tarfile.REGTYPE, **values: int | str) -> tarfile.TarInfo:
    """Return a member's description."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mtime = 100
    for key, value in values.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("name", "path"),
    [("./bin/sh", "usr/bin/sh"), ("./lib", ""), ("lib64/ld.so", "usr/lib64/ld.so"), ("./etc/./x", "etc/x"), ("./", "")],
)
def test_old_places_are_under_usr(name: str, path: str) -> None:
    assert merged(name) == path


def test_paths_that_leave_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid), archive((member("../../etc/passwd"), b"x")) as given:
        Tree(tmp_path / "t").add_tar(given)


def test_owners_and_set_user_id_are_in_the_table_not_on_the_host(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "t")
    with archive((member("./bin/su", mode=0o4755, uid=0, gid=7), b"su")) as given:
        tree.add_tar(given)
    assert tree.nodes["usr/bin/su"].mode == stat.S_IFREG | 0o4755
    assert tree.nodes["usr/bin/su"].gid == 7
    staged = (tmp_path / "t/usr/bin/su").stat()
    assert stat.S_IMODE(staged.st_mode) == 0o755


def test_links_and_devices(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "t")
    members = [
        (member("./bin/a"), b"one"),
        (member("./bin/b", tarfile.LNKTYPE, linkname="./bin/a"), b""),
        (member("./bin/c", tarfile.SYMTYPE, linkname="a"), b""),
        (member("./dev/null", tarfile.CHRTYPE), b""),
    ]
    with archive(*members) as given:
        tree.add_tar(given)
    folder = tmp_path / "t/usr/bin"
    assert (folder / "a").stat().st_ino == (folder / "b").stat().st_ino
    assert (folder / "c").readlink() == Path("a")
    assert not tree.exists("dev/null")


def test_filter_replace_and_remove(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "t")
    with archive((member("./usr/share/doc/x"), b""), (member("./usr/bin/x"), b"old")) as given:
        tree.add_tar(given, keep=lambda path: "/doc/" not in path)
    tree.write("usr/bin/x", "new", mode=0o755)
    assert tree.read("usr/bin/x") == b"new"
    assert tree.files("usr/*") == ["usr/bin/x"]
    tree.remove("usr/bin")
    assert not tree.exists("usr/bin/x")
    assert not (tmp_path / "t/usr/bin").exists()


def test_symlink_does_not_write_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("safe")
    tree = Tree(tmp_path / "t")
    tree.symlink("etc/x", str(outside))
    tree.write("etc/x", "new")
    assert outside.read_text() == "safe"


def test_clamp_makes_times_the_same_everywhere(tmp_path: Path) -> None:
    tree = Tree(tmp_path / "t")
    with archive((member("./etc/old", mtime=50), b""), (member("./etc/new", mtime=500), b"")) as given:
        tree.add_tar(given)
    tree.clamp(200)
    assert {path: node.mtime for path, node in tree.nodes.items() if path.startswith("etc/")} == {
        "etc/old": 50,
        "etc/new": 200,
    }
    assert tree.nodes["etc"].mtime == 200
