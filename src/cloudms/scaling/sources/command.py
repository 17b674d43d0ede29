"""Any number that a program prints."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import ClassVar

from cloudms.errors import Invalid, NotReady, Timeout
from cloudms.scaling.base import METRICS, Sample
from cloudms.scaling.reading import Section
from cloudms.scaling.sources.base import Source, View


class CommandSource(Source):
    """Runs a program on this machine, without a shell; the last line that it prints is the number.

    It is taken as the metric `command`, or as another one that `as` names.
    """

    name = "command"
    metrics: ClassVar[tuple[str, ...]] = tuple(METRICS)
    KEYS: ClassVar[tuple[str, ...]] = ("run", "timeout", "as")

    def __init__(self, settings: Section) -> None:
        super().__init__(settings)
        self._metric = settings.choice("as", tuple(METRICS), "command")
        self.chosen = (self._metric,)
        self._argv = words(settings, "run")
        self._timeout = settings.seconds("timeout", 10.0, least=0.1)

    def samples(self, view: View) -> list[Sample]:
        """Return what it prints. Raises: Timeout, NotReady (it failed), Invalid (no number)."""
        try:
            done = subprocess.run(
                self._argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=self._timeout,
                check=False, errors="replace", env={**os.environ, "CMS_GROUP": view.group}, start_new_session=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise Timeout(f"{self._argv[0]} did not end within {self._timeout:g} s") from None
        except OSError as error:
            raise NotReady(f"{self._argv[0]} cannot be started: {error.strerror}") from None
        if done.returncode:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            raise NotReady(f"{self._argv[0]} exited with {done.returncode}{f': {last[:200]}' if last else ''}")
        line = (done.stdout.strip().splitlines() or [""])[-1].strip()
        try:
            value = float(line)
        except ValueError:
            raise Invalid(f"{self._argv[0]} printed '{line[:60]}', which is no number") from None
        return [self.sample(view, self._metric, value)]


def words(settings: Section, key: str) -> list[str]:
    """Return a command line as its words; it is written as text or as a list. Raises: Invalid."""
    value = settings.plain.get(key)
    if isinstance(value, list | tuple) and value and all(isinstance(each, str | int | float) for each in value):
        return [str(each) for each in value]
    try:
        found = shlex.split(settings.text(key))
    except ValueError:
        raise settings.wrong("has a quote without its end", "quote words as in a shell", key) from None
    if not found:
        raise settings.wrong("names no program", f"for instance {key}: /usr/local/bin/queue-length", key)
    return found
