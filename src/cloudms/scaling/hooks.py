"""Programs of the person that run before a member serves and before it goes, each with a limit of time."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from cloudms.model import Vm
from cloudms.record import Record
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.command import words
from cloudms.scaling.spec import ScalingSpec

POINTS = ("before_service", "before_end")


class Hook(Record):
    """A program, without a shell; `timeout` in seconds; `on_failure`, whether what comes then does all the same."""

    argv: tuple[str, ...]
    timeout: float = 30.0
    on_failure: str = "continue"


def hooks_of(spec: ScalingSpec) -> dict[str, Hook]:
    """Return the hooks of a policy by their points. Raises: Invalid, naming the setting."""
    section = Section(spec.hooks, ("hooks",))
    section.known(*POINTS)
    return {point: _hook(_section(spec.hooks[point], point)) for point in POINTS if spec.hooks.get(point)}


def _section(value: Any, point: str) -> Section:
    return Section({"run": value} if isinstance(value, str | list) else value, ("hooks", point))


def _hook(section: Section) -> Hook:
    section.known("run", "timeout", "on_failure")
    return Hook(
        argv=tuple(words(section, "run")),
        timeout=section.seconds("timeout", 30.0, least=0.1),
        on_failure=section.choice("on_failure", ("continue", "abandon"), "continue"),
    )


def run(hook: Hook, point: str, group: str, vm: Vm) -> str:
    """Run a hook for a member and return why it failed, or nothing."""
    told = {
        "CMS_HOOK": point, "CMS_GROUP": group, "CMS_VM": vm.name, "CMS_CLOUD": vm.cloud, "CMS_HOST": vm.ssh_host,
        "CMS_PORT": str(vm.ssh_port), "CMS_LOGIN": vm.login,
    }  # fmt: skip
    try:
        done = subprocess.run(
            hook.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors="replace", timeout=hook.timeout, check=False, env={**os.environ, **told}, start_new_session=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"did not end within {hook.timeout:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return f"exited with {done.returncode}{f': {last[:200]}' if last else ''}"
    return ""
