"""The batch script of an array: all that its tasks need is in it, so that nodes need to have nothing else."""

from __future__ import annotations

import base64
import io
import shlex
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

from cloudms.errors import Unsupported
from cloudms.jobs import setup
from cloudms.jobs.exchange import LIMIT, environment
from cloudms.jobs.node import agent
from cloudms.jobs.pack import Parcel
from cloudms.jobs.script import script
from cloudms.jobs.spec import Spec
from cloudms.model import Experiment, Task

OWN_LIMIT, LIMIT_ELSEWHERE = 64 << 20, 4 << 20
"""Bytes that a batch script may have: in a Slurm of ours, and in others by default (max_script_size)."""


def text(experiment: Experiment, spec: Spec, tasks: Sequence[Task], array: int, *, root: str, most: int) -> bytes:
    """Return the batch script of an array.

    Parameters: `array`, the number of this submission; `root`, the folder on nodes whose files outlive them (empty: the
    home); `most`, the bytes it may have. Raises: Unsupported (it is larger), NotFound (a file is gone),
    Denied (a secret).
    """
    digest = setup.digest(spec.setup)
    payload = base64.encodebytes(_packed(spec, tasks, digest)).decode()
    own = {"id": experiment.id, "array": str(array), "setup": digest, "root": root}
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in own.items())
    body = files("cloudms.jobs.slurm").joinpath("job.sh").read_text()
    whole = f"#!/bin/sh\n{head}payload() {{\n    cat <<'PAYLOAD'\n{payload}PAYLOAD\n}}\n{body}".encode()
    if len(whole) > most:
        size = f"{len(whole) >> 20} MiB of the {most >> 20} MiB that a job may bring along"
        raise Unsupported(f"inputs and set-up are too large for Slurm: {size}", hint="let the commands fetch them")
    return whole


def _packed(spec: Spec, tasks: Sequence[Task], digest: str) -> bytes:
    conf = {"timeout": int(-(-spec.timeout // 1)), "slots": 1, "limit": LIMIT, "setup": digest}
    sent = Parcel(
        {
            "agent.sh": agent()[0].decode(),
            "exp/script": script(spec),
            "exp/conf": "".join(f"{key} {value}\n" for key, value in conf.items() if value),
            "exp/outputs": "".join(f"{pattern}\n" for pattern in spec.outputs),
            **{f"env/{task.number:04d}": environment(spec, task.with_(attempt=task.attempt + 1)) for task in tasks},
        }
    )
    for each in spec.inputs:
        sent.add(f"exp/inputs/{each.target}", Path(each.source))
    parts = [("", sent)]
    parts += [("setup.tar", setup.parcel(spec.setup))] if digest else []
    return _together(parts)


def _together(parts: Iterable[tuple[str, Parcel]]) -> bytes:
    """Return one compressed tar: the first parcel unpacked, others as files of their names."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive, ExitStack() as stack:
        for name, parcel in parts:
            packed = stack.enter_context(parcel.packed())
            data = packed if isinstance(packed, bytes) else packed.read_bytes()
            if name:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o600
                archive.addfile(member, io.BytesIO(data))
                continue
            with tarfile.open(fileobj=io.BytesIO(data)) as inner:
                for member in inner:
                    archive.addfile(member, inner.extractfile(member) if member.isreg() else None)
    return whole.getvalue()


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as Slurm takes them: 1-3,7."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
