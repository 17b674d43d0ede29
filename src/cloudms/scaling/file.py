"""From the YAML file of `group policy set` to a specification; an error names file and line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cloudms import registry
from cloudms.balancers import store
from cloudms.balancers.settings import Settings
from cloudms.config import reader
from cloudms.errors import ConfigError, Invalid, NotFound
from cloudms.scaling.hooks import hooks_of
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import sources_of
from cloudms.scaling.spec import ScalingSpec


def read(file: Path) -> ScalingSpec:
    """Return the policy that a file describes, checked down to the settings of sources, hooks and balancer.

    Raises: ConfigError, naming file and line, with the nearest known key.
    """
    try:
        document = reader.load(file)
    except ConfigError as problem:
        hint = problem.hint
        hint = "begin it with 'policies:'" if "cloudmesh:" in hint else hint
        raise ConfigError(problem.message, hint=hint, details=problem.details) from None
    if not document.tree:
        raise ConfigError(
            f"{file} says nothing", hint="begin it with 'policies:'", details={"file": str(file), "line": 1}
        )
    try:
        spec = ScalingSpec.from_plain(document.tree)
        sources_of(spec)
        hooks_of(spec)
        _check_balancer(spec)
    except ConfigError:
        raise
    except Invalid as problem:
        path = [str(each) for each in problem.details.get("path", ())]
        name, line = _line(document, path, file)
        raise ConfigError(
            f"{name}, line {line}: {problem.message}", hint=problem.hint, details={"file": name, "line": line}
        ) from None
    return spec


def _check_balancer(spec: ScalingSpec) -> None:
    section = Section(spec.balancer, ("balancer",))
    kind = section.text("kind", store.KIND)
    try:
        registry.load("cloudms.balancers", kind)
    except NotFound as problem:
        raise section.wrong(f"cannot be '{kind[:60]}'", problem.hint, "kind") from None
    try:
        Settings.from_plain({key: value for key, value in spec.balancer.items() if key != "kind"})
    except Invalid as problem:
        path = ["balancer", str(problem.details.get("setting", ""))]
        raise Invalid(f"balancer: {problem.message}", hint=problem.hint, details={"path": path}) from None


def _line(document: reader.Document, path: Sequence[str], file: Path) -> tuple[str, int]:
    """Return where a setting stands, or the nearest section around it that is in the file."""
    for length in range(len(path), 0, -1):
        found = document.lines.get(tuple(path[:length]))
        if found:
            return found
    return str(file), 1
