"""Everything `config check` looks at. Imported only by `Config.check`."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from cloudms.config import clouds, lint, reader
from cloudms.config.finding import Finding
from cloudms.config.known import UNUSED
from cloudms.config.reader import Document
from cloudms.config.substitute import Substitution
from cloudms.config.tree import Path, elsewhere, is_clear, is_placeholder, is_secret, is_secret_name, is_unset, leaves
from cloudms.errors import CloudmsError, ConfigError
from cloudms.names import nearest, unreserved

if TYPE_CHECKING:
    from cloudms.config.store import Config

_NO_NAME = r"[\s,/]"
"""What the name of a cloud cannot have: it stands in lists with commas, and names files."""
_ORDER = {"error": 0, "warning": 1, "info": 2}


def check(config: Config, nouns: Collection[str]) -> list[Finding]:
    """Return what a person may want to change about `config`, the worst first."""
    found = list(_settings(config))
    if config.path is None:
        found.append(
            _info("there is no configuration file: the only cloud is local", "cms config set KEY=VALUE makes one")
        )
    else:
        found += _file(config, config.path, nouns)
    return sorted(found, key=lambda finding: (_ORDER[finding.level], finding.file, finding.line))


def _file(config: Config, path: FilePath, nouns: Collection[str]) -> Iterator[Finding]:
    try:
        document = reader.load(path)
    except ConfigError as problem:
        yield _problem(problem)
        return
    looks = _Looks(config, document, nouns)
    yield from lint.unknown_keys(document)
    if not isinstance(document.tree.get("cloudmesh"), dict | None):
        yield looks.not_a_section(("cloudmesh",))
    yield from looks.shape()
    yield from looks.secrets()
    yield from looks.references()
    yield from looks.cloud_states()
    yield from looks.words()
    yield from looks.surroundings(path)


def _settings(config: Config) -> Iterator[Finding]:
    try:
        config.settings.values()
    except ConfigError as problem:
        yield _problem(problem)


def _problem(problem: CloudmsError) -> Finding:
    place = problem.details
    message = problem.message.removeprefix(f"{place.get('file')}:{place.get('line')}: ")
    return Finding(
        level="error", message=message, hint=problem.hint, file=place.get("file", ""), line=place.get("line", 0)
    )


def _info(message: str, hint: str = "") -> Finding:
    return Finding(level="info", message=message, hint=hint)


class _Looks:
    """The single looks at one file that could be read."""

    def __init__(self, config: Config, document: Document, nouns: Collection[str]) -> None:
        self._config = config
        self._document = document
        self._nouns = nouns
        self._root = document.tree
        self._top: Path = ("cloudmesh",) if isinstance(document.tree.get("cloudmesh"), dict) else ()

    def _at(self, path: Path, level: str, message: str, hint: str = "") -> Finding:
        file, line = "", 0
        while path and not line:
            file, line = self._document.lines.get(path, ("", 0))
            path = path[:-1]
        return Finding(level=level, message=message, hint=hint, file=file or self._document.files[0][0], line=line)

    def _entries(self) -> Iterator[tuple[Path, str, dict[str, Any]]]:
        for section, name, entry in clouds.entries(self._root):
            yield (*self._top, section, name) if section else self._top, name, entry

    def shape(self) -> Iterator[Finding]:
        """Sections that are no sections, truths that are none."""
        for section in clouds.SECTIONS:
            listed = clouds.content(self._root).get(section)
            if listed is not None and not isinstance(listed, dict):
                yield self.not_a_section((*self._top, section))
            for name, entry in listed.items() if isinstance(listed, dict) else ():
                if not isinstance(entry, dict):
                    yield self.not_a_section((*self._top, section, name))
        for path, _, entry in self._entries():
            for key in ("cm", "default", "credentials", "options"):
                if entry.get(key) is not None and not isinstance(entry[key], dict):
                    yield self.not_a_section((*path, key))
            about = entry.get("cm")
            active = about.get("active") if isinstance(about, dict) else entry.get("active")
            if active is not None and clouds.truth(active) != clouds.truth(active, otherwise=True):
                yield self._at((*path, "cm", "active"), "warning", "active is neither true nor false: taken as true")
        for line in self._document.elided:
            file = self._document.files[0][0]
            yield Finding(level="info", message="a line of dots was skipped", hint="remove it", file=file, line=line)

    def not_a_section(self, path: Path) -> Finding:
        return self._at(path, "error", f"{'.'.join(path)} is not a section and is ignored", "write its keys below it")

    def secrets(self) -> Iterator[Finding]:
        """Secrets in clear, sample texts, and a file others may read."""
        clear = []
        for path, value in leaves(self._root):
            if is_placeholder(value):
                yield self._at(path, "warning", f"{'.'.join(path)} still has the sample text", "write your own value")
            elif is_clear(path, value):
                clear.append(path)
                yield self._at(
                    path,
                    "warning",
                    f"{'.'.join(path)} is a secret in clear",
                    elsewhere(path),
                )
        for name, _ in self._document.files:
            mode = stat.S_IMODE(FilePath(name).stat().st_mode)
            if mode & 0o077:
                level = "error" if clear else "info"
                yield Finding(
                    level=level,
                    message=f"other users may read this file (mode {mode:04o})"
                    + (", and it has secrets" * bool(clear)),
                    hint=f"chmod 600 {name}",
                    file=name,
                )

    def references(self) -> Iterator[Finding]:
        """References that lead nowhere or in a circle."""
        substitution = Substitution(lambda: self._root, self._config.environ)
        for path, value in leaves(self._root):
            if not isinstance(value, str) or is_unset(value):
                continue
            where = ".".join(path)
            try:
                if is_secret(path, value):
                    substitution.secret(path)
                else:
                    substitution.value(value, (where,))
            except CloudmsError as problem:
                level = "error" if isinstance(problem, ConfigError) else "warning"
                yield self._at(path, level, f"{where}: {problem.message}", problem.hint)
                continue
            lost = [] if is_secret_name(path[-1]) else substitution.unknown(value)
            if lost:
                yield self._at(
                    path, "warning", f"{where} refers to {', '.join(lost)}, which is not set", "set or remove it"
                )

    def cloud_states(self) -> Iterator[Finding]:
        """Clouds that cannot be used, and why."""
        found = self._config.by_name()
        for path, name, entry in self._entries():
            cloud = found[name]
            if "like" in entry and not _leads(entry["like"], name, found):
                message, hint = f"cloud {name} is like {entry['like']}, which is no other cloud here", "name one"
                yield self._at((*path, "like"), "error", message, hint)
            if cloud.state == "unset":
                message = f"cloud {name} is unset: {', '.join(cloud.unset[:4])} have no value"
                yield self._at(
                    path, "info", message, f"fill them in, or say cms config set cloud.{name}.cm.active=false"
                )
            elif cloud.state == "unsupported":
                yield self._kind(path, name, cloud.kind)
            elif cloud.active and cloud.unset:
                message = f"cloud {name}: {', '.join(cloud.unset)} have no value"
                yield self._at((*path, "credentials"), "info", message)
        yield from self._default_cloud(found)

    def _kind(self, path: Path, name: str, kind: str) -> Finding:
        close = nearest(kind, self._config.kinds)
        known = ", ".join(self._config.kinds)
        message = f"cloud {name}: {kind} is not a kind this release opens" if kind else f"cloud {name} has no kind"
        hint = (f"did you mean {close}? " if close else "") + f"kinds: {known}"
        return self._at((*path, "cm", "kind"), "warning", message, hint)

    def _default_cloud(self, found: dict[str, clouds.CloudSettings]) -> Iterator[Finding]:
        section = clouds.content(self._root).get("default")
        wanted = section.get("cloud") if isinstance(section, dict) else None
        path = (*self._top, "default", "cloud")
        elsewhere = {} if wanted in found or is_unset(wanted) else self._config.natives().clouds
        usable = wanted in elsewhere or (wanted in found and found[wanted].active)
        if isinstance(wanted, str) and not is_unset(wanted) and not usable:
            why = f"is {found[wanted].state}" if wanted in found else "is not configured"
            close = nearest(wanted, found)
            hint = (
                f"did you mean {close}?"
                if close and wanted not in found
                else f"cms set cloud={self._config.default_cloud()}"
            )
            yield self._at(path, "warning", f"the default cloud {wanted} {why}: local is used", hint)

    def words(self) -> Iterator[Finding]:
        """Names that are words of the command line, and aliases that are no text."""
        for path, name, _ in self._entries():
            yield from self._reserved(path, name, "cloud")
            if not name or re.search(_NO_NAME, name):
                yield self._at(
                    path, "error", f"{name!r} cannot name a cloud", "letters, digits, - and _, a letter first"
                )
        section = clouds.content(self._root).get("alias")
        for name, text in section.items() if isinstance(section, dict) else ():
            path = (*self._top, "alias", name)
            yield from self._reserved(path, name, "alias")
            if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z][\w-]*", name):
                yield self._at(path, "error", f"the alias {name} is not a word for a command", f"write {name}: aws vm")

    def _reserved(self, path: Path, name: str, what: str) -> Iterator[Finding]:
        try:
            unreserved(name, self._nouns, what)
        except CloudmsError as problem:
            yield self._at(path, "error", problem.message, problem.hint)

    def surroundings(self, path: FilePath) -> Iterator[Finding]:
        """Encryption, a second file, and sections that are kept but not used."""
        cm = clouds.content(self._root)
        security = cm.get("security")
        encrypted = isinstance(security, dict) and clouds.truth(security.get("encryption"))
        if encrypted or path.with_name(path.name + ".enc").exists():
            where = (*self._top, "security", "encryption")
            hint = "decrypt it with the program that encrypted it, and use env:, file: or keyring: references"
            yield self._at(where, "warning" if not encrypted else "error", "the encrypted file is not read", hint)
        for other in ("cloudmesh.yaml", "cloudmesh4.yaml"):
            second = path.with_name(other)
            if path.name == "cloudmesh.yaml" and second != path and second.exists():
                yield Finding(level="info", message=f"{second} is not read: {path.name} comes first", file=str(second))
        unused = [name for name in UNUSED if name in cm]
        if unused:
            yield self._at((*self._top, unused[0]), "info", f"kept, not used: {', '.join(unused)}")


def _leads(source: object, name: str, found: Collection[str]) -> bool:
    """Whether `like` names another cloud of the file."""
    return isinstance(source, str) and source in found and source != name
