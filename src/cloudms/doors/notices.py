"""What is odd about the configuration, said once after each change of its file and not with every command."""

from __future__ import annotations

from pathlib import Path

from cloudms import paths, registry
from cloudms.config import Config
from cloudms.doors import words
from cloudms.doors.screen import Screen
from cloudms.errors import CloudmsError

MOST = 3
"""Warnings shown; `cms config check` shows all."""


def tell(screen: Screen, config: Config) -> None:
    """Warn of broken plug-ins and, once per state of the file, of unknown keys and words that clash with commands."""
    if screen.quiet:
        return
    for name, why in registry.index().broken.items():
        screen.warn(f"the plug-in '{name}' is broken: {why}")
    try:
        _tell_of_file(screen, config)
    except CloudmsError:
        return  # the command that needed the file has said what is wrong with it


def _tell_of_file(screen: Screen, config: Config) -> None:
    if config.path is None:
        return
    marker = paths.cache() / "warned"
    stamp = _stamp(config.path)
    if _content(marker) == stamp:
        return
    found = [f"{finding.place}: {finding.message}" for finding in config.warnings]
    found += words.clashes(config.aliases(), [cloud.name for cloud in config.clouds()], registry.index())
    for text in found[:MOST]:
        screen.warn(text)
    if len(found) > MOST:
        screen.warn(f"{len(found) - MOST} more about the configuration: cms config check")
    _keep(marker, stamp)


def _stamp(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError:
        return ""
    return f"{path} {facts.st_mtime_ns} {facts.st_size}"


def _content(marker: Path) -> str:
    try:
        return marker.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return "-"


def _keep(marker: Path, stamp: str) -> None:
    try:
        paths.private(marker.parent)
        marker.write_text(stamp, encoding="utf-8")
    except OSError:
        return  # then they are shown again
