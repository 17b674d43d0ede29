"""The list of images that can be pulled: its shape, and the person's own entries."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cloudms import paths
from cloudms.errors import ConfigError, NotFound
from cloudms.images.index import INDEX, entries, lookup, own_index, read


def own(tmp_path: Path, document: Any) -> Path:
    """Write an index of one's own."""
    path = tmp_path / "images.json"
    path.write_text(json.dumps(document))
    return path


def entry(**changes: Any) -> dict[str, Any]:
    """Return a valid entry with changes."""
    source = {"url": "http://127.0.0.1/x.img", "checksums": "http://127.0.0.1/SUMS", "algorithm": "sha256"}
    return {"name": "x", "os": "X", "login": "me", "arch": {"x86_64": source}} | changes


def test_every_entry_is_complete() -> None:
    found = read(INDEX)
    assert len({e.name for e in found}) == len(found) >= 10
    for e in found:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*(-[0-9.]+)?", e.name)
        assert e.os and e.login and e.min_memory_mib >= 128
        assert set(e.arch) <= {"x86_64", "aarch64"} and "x86_64" in e.arch
        for source in e.arch.values():
            assert source.url.startswith("https://") and source.checksums.startswith("https://")
            assert source.algorithm in ("sha256", "sha512")


def test_the_usual_distributions_are_there() -> None:
    assert {"debian-12", "debian-13", "ubuntu-22.04", "ubuntu-24.04", "rocky-9", "alma-9"} <= set(entries())


def test_own_entry_replaces_and_adds(tmp_path: Path) -> None:
    path = own(tmp_path, {"images": [entry(), entry(name="debian-12")]})
    found = entries(path)
    assert found["debian-12"].os == "X"
    assert lookup("x", "x86_64", path)[1].url == "http://127.0.0.1/x.img"
    assert "ubuntu-24.04" in found


def test_own_index_stands_in_the_settings_folder() -> None:
    assert own_index() == paths.home() / "images.json"
    paths.home().mkdir()
    own_index().write_text(json.dumps({"images": [entry()]}))
    assert "x" in entries()


def test_unknown_name_and_processor_say_what_is_known() -> None:
    with pytest.raises(NotFound) as missing:
        lookup("windows-12", "x86_64")
    assert "debian-12" in missing.value.hint
    with pytest.raises(NotFound) as other:
        lookup("arch", "riscv64")
    assert "x86_64" in other.value.hint


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"images": {}},
        {"images": [1]},
        {"images": [entry(name=3)]},
        {"images": [entry(arch=None)]},
        {"images": [entry(arch={"x86_64": {"url": "ftp://x"}})]},
        {"images": [entry(arch={"x86_64": {"url": "file:///etc/passwd"}})]},
        {"images": [entry(arch={"x86_64": {"url": "http://x/y", "algorithm": "crc32"}})]},
    ],
)
def test_malformed_index_is_a_config_error_that_names_the_file(tmp_path: Path, document: Any) -> None:
    path = own(tmp_path, document)
    with pytest.raises(ConfigError, match=str(path)):
        entries(path)


def test_broken_json_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "images.json"
    path.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        entries(path)
