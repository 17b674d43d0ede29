"""Files as one stream: what is in it, and that nothing leads out of it."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from cloudms.engine.archive import tar


def opened(chunks: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(chunks), mode="r:")


def test_files_folders_and_contents_are_in_it(tmp_path: Path) -> None:
    deep = tmp_path / "task" / ("long" * 40)
    deep.mkdir(parents=True)
    (deep / "äö.bin").write_bytes(b"\0x" * 400_000)
    (tmp_path / "task" / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "task" / "run.sh").chmod(0o700)
    (tmp_path / "task" / "empty").touch()
    made = tar("fit", [("0001", tmp_path / "task"), ("results.csv", b"a,b\n"), ("one", deep / "äö.bin")], 1e9)
    content = b"".join(made.chunks)
    assert (made.name, len(content) % tarfile.RECORDSIZE) == ("fit", 0)
    with opened(content) as found:
        folder = f"fit/0001/{'long' * 40}"
        first = ["fit", "fit/0001", "fit/0001/empty", folder, f"{folder}/äö.bin", "fit/0001/run.sh"]
        assert found.getnames() == [*first, "fit/results.csv", "fit/one"]
        for name in (f"{folder}/äö.bin", "fit/one"):
            file = found.extractfile(name)
            assert file is not None
            assert file.read() == b"\0x" * 400_000
        assert found.getmember("fit/results.csv").mtime == 1e9
        assert found.getmember("fit/0001/run.sh").mode == 0o755
        assert {member.uid for member in found} == {0}
        assert {member.uname for member in found} == {""}


def test_links_are_never_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("hidden")
    out = tmp_path / "out"
    out.mkdir()
    (out / "file").symlink_to(secret / "key")
    (out / "folder").symlink_to(secret)
    os.mkfifo(out / "pipe")
    content = b"".join(tar("x", [("out", out), ("whole", out / "folder")], 0.0).chunks)
    assert b"hidden" not in content
    with opened(content) as found:
        assert found.getnames() == ["x", "x/out", "x/out/file", "x/out/folder", "x/whole"]
        assert all(found.getmember(name).issym() for name in ("x/out/file", "x/out/folder", "x/whole"))


def test_a_file_that_changes_while_it_is_read_spoils_nothing(tmp_path: Path) -> None:
    for name, size in (("grows", 10), ("shrinks", 600_000), ("stays", 5)):
        (tmp_path / name).write_bytes(b"x" * size)
    chunks = iter(tar("x", [("all", tmp_path)], 0.0).chunks)
    content = b""
    for chunk in chunks:
        content += chunk
        if b"shrinks" in chunk:
            os.truncate(tmp_path / "shrinks", 300_000)
        if b"grows" in chunk:
            (tmp_path / "grows").write_bytes(b"y" * 1000)
    with opened(content) as found:
        assert {m.name: m.size for m in found if m.isfile()} == {
            "x/all/grows": 10, "x/all/shrinks": 600_000, "x/all/stays": 5,
        }  # fmt: skip
        stays = found.extractfile("x/all/stays")
        assert stays is not None
        assert stays.read() == b"xxxxx"
