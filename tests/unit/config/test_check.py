"""What `config check` finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cloudms.config import Config
from cloudms.config.finding import Finding
from tests.unit.config.sample import LAB, write


def findings(folder: Path, text: str, **options: Any) -> dict[str, Finding]:
    """Return what a check of `text` finds, by message."""
    return {finding.message: finding for finding in Config(write(folder, text), **options).check(nouns={"vm", "image"})}


def test_a_clean_file_has_no_findings(folder: Path) -> None:
    assert findings(folder, LAB.replace("  a.b: {c.d: 1, e: [x, {f: 2}]}\n", "")) == {}


CLEAR = """
cloudmesh:
  default: {cloud: awss}
  security: {encryption: true}
  alias: {vm: aws vm, good: aws vm, bad: 5}
  storage: {}
  cloud:
    aws:
      cm: {kind: aws, active: perhaps}
      credentials: {EC2_ACCESS_ID: your access id, EC2_SECRET_KEY: s3cr3t, EC2_SECRT: x}
    image: {cm: {kind: libvirt}}
    odd: {cm: {kind: libvrit}, default: {image: $NOPE/x}}
    ref: {cm: {kind: openstack}, credentials: {OS_USERNAME: TBD, OS_PASSWORD: env:NOPE}}
    none: {cm: {kind: azure}, credentials: {AZURE_TENANT_ID: TBD}}
    nokind: {}
"""


def test_findings(folder: Path) -> None:
    file = write(folder, CLEAR)
    file.chmod(0o644)
    config = Config(file)
    found = {(f.line, f.level, f.message, f.hint) for f in config.check(nouns={"vm", "image"})}
    for wanted in [
        (0, "error", "other users may read this file (mode 0644), and it has secrets", f"chmod 600 {file}"),
        (3, "warning", "the default cloud awss is not configured: local is used", "did you mean aws?"),
        (
            11,
            "error",
            "'image' is a word of the command line and cannot name a cloud",
            "choose another name, for instance my-image",
        ),
        (
            5,
            "error",
            "'vm' is a word of the command line and cannot name an alias",
            "choose another name, for instance my-vm",
        ),
        (5, "error", "the alias bad is not a word for a command", "write bad: aws vm"),
        (9, "warning", "active is neither true nor false: taken as true", ""),
        (
            10,
            "warning",
            "the key 'EC2_SECRT' in cloudmesh.cloud.aws.credentials is not known and not used",
            "did you mean 'EC2_CERT'?",
        ),
        (12, "warning", "cloudmesh.cloud.odd.default.image refers to $NOPE, which is not set", "set or remove it"),
        (13, "info", "cloud ref: OS_USERNAME have no value", ""),
    ]:
        assert wanted in found
    text = json.dumps([f.to_public() for f in config.check()])
    assert "s3cr3t" not in text
    for part in (
        "EC2_SECRET_KEY is a secret in clear", "EC2_ACCESS_ID still has the sample text",
        "the encrypted file is not read",
        "kept, not used: storage", "cloud none is unset: AZURE_TENANT_ID", "cloud odd: libvrit is not a kind",
        "did you mean libvirt?", "cloud nokind has no kind", "the environment variable NOPE has no value",
    ):  # fmt: skip
        assert part in text, part


def test_a_private_file_with_references_is_fine(folder: Path) -> None:
    text = "cloudmesh:\n  cloud:\n    aws:\n      credentials: {EC2_ACCESS_ID: a, EC2_SECRET_KEY: env:SECRET}\n"
    assert findings(folder, text, environ={"SECRET": "x"}) == {}


def test_finding_names_its_place() -> None:
    assert Finding(level="info", message="m", file="f", line=3).place == "f:3"
    assert Finding(level="info", message="m", file="f").place == "f"
    assert Finding(level="info", message="m").to_public()["kind"] == "finding"


def test_a_ceiling_that_is_spelled_wrong_is_warned_about(folder: Path) -> None:
    file = write(folder, "cloudmesh:\n  ceiling: {max_vm: 5}\n  cloud:\n    local: {cm: {kind: libvirt}, max_vms: 2}\n")
    (found,) = Config(file).warnings
    assert (found.line, found.hint) == (2, "did you mean 'max_vms'?")


def test_what_cannot_be_the_name_of_a_cloud_is_told(folder: Path) -> None:
    found = findings(
        folder, 'cloudmesh: {cloud: {"": {cm: {kind: fake}}, a/../b: {cm: {kind: fake}}, ok.1: {cm: {kind: fake}}}}'
    )
    told = [message for message, finding in found.items() if finding.level == "error"]
    assert told == ["'' cannot name a cloud", "'a/../b' cannot name a cloud"]


def test_a_file_without_a_section_is_told(folder: Path) -> None:
    finding = findings(folder, "cloudmesh: 5\n")["cloudmesh is not a section and is ignored"]
    assert (finding.level, finding.line) == ("error", 1)
