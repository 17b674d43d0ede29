"""The ancestors' `cms newawsvm status|boot|stop`, as its report shows it, on a fake cloud called aws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = "cloudmesh:\n  cloud:\n    aws:\n      cm: {kind: fake, active: true}\n      default: {image: micro}\n"


def newawsvm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloudms", "newawsvm", *words], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def aws(own_home: Path) -> None:
    folder = own_home / ".cloudmesh"
    folder.mkdir(mode=0o700)
    (folder / "cloudmesh.yaml").write_text(CONFIG)


@pytest.mark.usefixtures("aws")
def test_the_commands_of_the_report() -> None:
    names = [newawsvm("boot", "-q", "-o", "name").stdout.strip() for _ in range(2)]
    assert names == ["test_cloudmesh00", "test_cloudmesh01"]
    assert newawsvm("status", "test_cloudmesh01", "-o", "name").stdout.split() == ["test_cloudmesh01"]
    unknown = newawsvm("status", "test_cloudmesh03", "-o", "name")
    assert (unknown.returncode, unknown.stdout.split()) == (0, names)
    assert "test_cloudmesh03" in unknown.stderr
    nobody = newawsvm("stop")
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert newawsvm("stop", names[0], "-q").returncode == 0


def test_without_a_cloud_called_aws_it_says_so() -> None:
    done = newawsvm("status")
    assert done.returncode == 3
    assert "'newawsvm' stands for 'aws vm', but no cloud is called 'aws'" in done.stderr
