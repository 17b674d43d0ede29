"""What the tests of the configuration write."""

from __future__ import annotations

import os
from pathlib import Path

LAB = """
cloudmesh:
  profile:
    user: ada lovelace
  default: {cloud: lab, group: g1}
  cloud:
    lab:
      cm: {kind: libvirt}
      default: {image: debian-12, size: small}
    off:
      cm: {kind: libvirt, active: false}
  a.b: {c.d: 1, e: [x, {f: 2}]}
"""


def write(folder: Path, text: str, name: str = "cloudmesh.yaml") -> Path:
    """Write a configuration file, private and old enough to be cached."""
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    os.utime(file, (1_600_000_000, 1_600_000_000))
    return file
