"""Pinned host keys: plain and hashed names, several writers, another key than the one that is pinned."""

from __future__ import annotations

import asyncio
import base64
import hmac
from pathlib import Path

from cloudms import paths, ssh
from cloudms.fanout.pins import Pins

KEY, OTHER = "ssh-ed25519 AAAAone", "ssh-ed25519 AAAAtwo"


def hashed(alias: str, salt: bytes = b"0123456789abcdefghij") -> str:
    """Return a name as OpenSSH writes it with HashKnownHosts."""
    name = hmac.digest(salt, alias.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(name).decode()}"


def write(*lines: str) -> None:
    paths.private(paths.home())
    (paths.home() / "known_hosts").write_text("".join(f"{line}\n" for line in lines))


def test_without_a_file_nothing_is_pinned(own_home: Path) -> None:
    assert Pins().of("cms-a") == []


def test_names_are_found_plain_and_hashed(own_home: Path) -> None:
    write("# a comment", f"cms-a,other {KEY} of a person", f"{hashed('cms-b')} {OTHER}", "|1|broken x y", "short")
    pins = Pins()
    assert [pins.of(alias) for alias in ("cms-a", "other", "cms-b", "cms-c")] == [[KEY], [KEY], [OTHER], []]


def test_a_file_that_has_changed_is_read_again(own_home: Path) -> None:
    pins = Pins()
    write(f"cms-a {KEY}")
    assert pins.of("cms-a") == [KEY]
    write(f"cms-a {KEY}", f"cms-a {OTHER}")
    assert pins.of("cms-a") == [KEY, OTHER]


def test_a_first_key_is_pinned_and_another_one_is_not_accepted(own_home: Path) -> None:
    async def both() -> list[bool]:
        pins = Pins()
        first = await asyncio.gather(*(pins.accept(f"cms-{number}", KEY) for number in range(20)))
        return [*first, await pins.accept("cms-3", KEY), await pins.accept("cms-3", OTHER)]

    assert asyncio.run(both()) == [True] * 21 + [False]
    assert Pins().of("cms-3") == [KEY]
    assert paths.known_hosts().stat().st_mode & 0o777 == 0o600


def test_what_openssh_is_told_keeps_names_readable() -> None:
    from cloudms.model import Vm

    assert "HashKnownHosts=no" in ssh.options(Vm(name="a", token="t"))
