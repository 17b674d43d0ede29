"""A node on a cloud that only pretends: a task ends at once with what it would have run."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from cloudms import paths
from cloudms.context import Context
from cloudms.jobs import store
from cloudms.jobs.node import Answer
from cloudms.jobs.script import shown
from cloudms.jobs.spec import Spec
from cloudms.jobs.task import Ending
from cloudms.model import Experiment


class Pretended:
    """A node where nothing is run."""

    def __init__(self, ctx: Context, experiment: Experiment) -> None:
        self._ctx = ctx
        self._experiment = experiment
        self._ended: dict[str, Ending] = {}

    def ask(self, *words: str, sent: bytes | Path = b"") -> Answer:
        """Take tasks, or forget them; what was sent has ended well."""
        now = self._ctx.clock.now()
        if words[0] == "put":
            stream = io.BytesIO(sent.read_bytes() if isinstance(sent, Path) else sent)
            with tarfile.open(fileobj=stream) as archive:
                names = {name.split("/")[1] for name in archive.getnames() if name.startswith("tasks/")}
            self._ended |= {name: Ending(exit=0, started=now, ended=now) for name in names}
        elif words[0] == "forget":
            for name in words[1:]:
                self._ended.pop(name, None)
        return Answer(boot="pretended", now=now, setup="done", ended=dict(self._ended))

    def text(self, *words: str) -> str:
        """Return nothing."""
        return ""

    def tail(self, name: str, file: str, place: int) -> tuple[str, int]:
        """Return nothing."""
        return "", 0

    def fetch(self, name: str, folder: Path) -> str:
        """Write what the task would have run as what it has printed."""
        spec = Spec.from_document(self._experiment.spec)
        task = store.task(self._ctx, self._experiment.name, int(name.partition(".")[0]))
        values = {**task.params, "task": task.name, "number": task.number, "repeat": task.repeat}
        paths.private(folder)
        (folder / "outputs").mkdir(exist_ok=True)
        (folder / "stdout").write_text("".join(f"would run: {shown(line, values)}\n" for line in spec.commands))
        (folder / "stderr").write_text("")
        return ""
