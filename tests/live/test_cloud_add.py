"""A cloud is added by a person at a terminal, who types its secrets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

pytestmark = [pytest.mark.live, pytest.mark.services]


def run(home: Path, *words: str) -> pexpect.spawn[str]:
    """Start `cms` on a terminal of its own, in a home that has no keyring and knows nothing of AWS."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "CLOUDM"))}
    env |= {"HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", "TERM": "dumb"}
    return pexpect.spawn(sys.executable, ["-m", "cloudms", *words], env=env, encoding="utf-8", timeout=60)


def test_secrets_are_asked_for_unseen_and_kept_beside_the_configuration(tmp_path: Path) -> None:
    person = run(tmp_path, "cloud", "add", "aws")
    for name, value in (("AWS_ACCESS_KEY_ID", "AKIATYPED"), ("AWS_SECRET_ACCESS_KEY", "typed-secret")):
        person.expect_exact(f"{name}: ")
        person.sendline(value)
    person.expect(pexpect.EOF)
    assert "cms cloud check aws" in person.before
    assert "typed-secret" not in person.before
    file = tmp_path / ".cloudmesh" / "credentials" / "aws"
    assert file.stat().st_mode & 0o777 == 0o600
    holding = [each for each in tmp_path.rglob("*") if each.is_file() and b"typed-secret" in each.read_bytes()]
    assert holding == [file]
    person = run(tmp_path, "cloud", "remove", "aws")
    person.expect_exact("[y/N]")
    person.sendline("y")
    person.expect(pexpect.EOF)
    assert not file.exists()
    assert "aws" not in (tmp_path / ".cloudmesh" / "cloudmesh.yaml").read_text()
