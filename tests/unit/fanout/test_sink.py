"""What becomes of output: files up to a bound, a tail in memory, lines."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from cloudms.fanout.sink import Sink


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 30))
def test_the_tail_is_the_end_of_what_came(parts: list[bytes], room: int) -> None:
    sink = Sink(tail=room)
    for part in parts:
        sink.take(part)
    whole = b"".join(parts)
    assert sink.count == len(whole)
    assert len(sink._tail) <= 2 * room
    if len(whole) <= room:
        assert sink.text == whole.decode("utf-8", "replace")


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_lines_add_up_to_what_came(parts: list[bytes]) -> None:
    heard: list[str] = []
    sink = Sink(heard=heard.append)
    for part in parts:
        sink.take(part)
    sink.close()
    whole = b"".join(parts)
    assert "".join(heard).rstrip("\n") == whole.decode("utf-8", "replace").rstrip("\n")
    assert all(text.endswith("\n") for text in heard)


def test_a_flood_is_cut_and_the_file_says_so(tmp_path: Path) -> None:
    file = tmp_path / "out"
    sink = Sink(file, tail=4, limit=10)
    for _ in range(100):
        sink.take(b"0123456789")
    sink.close()
    assert sink.count == 1000
    assert sink.text == "6789"
    assert file.read_bytes() == b"0123456789\n[cms: cut here; 1000 bytes came, 10 are kept]\n"


def test_what_cannot_be_written_is_told_and_the_rest_is_drained(tmp_path: Path) -> None:
    sink = Sink(tmp_path / "no" / "such" / "out")
    sink.take(b"one")
    sink.take(b"two")
    sink.close()
    assert isinstance(sink.error, FileNotFoundError)
    assert (sink.text, sink.file) == ("onetwo", "")


def test_no_full_disk_raises() -> None:
    sink = Sink(Path("/dev/full"))
    sink.take(b"x" * 100_000)
    sink.close()
    assert sink.error is not None
    assert sink.error.errno == 28
    assert sink.count == 100_000
