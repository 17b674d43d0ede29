"""`cms workload user-data`: the script that makes a VM a member."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.errors import Denied, Exists
from cloudms.verb import LOCAL, Doc, File, verb
from cloudms.verbs.workload import place
from cloudms.workload import token
from cloudms.workload.store import GATEWAY
from cloudms.workload.userdata import MARK, script
from cloudms.workload.wire import address


@verb("workload", "user-data", doors=LOCAL, example="cms workload user-data plates.sh --slots 2 --seconds 0.5")
def user_data(
    ctx: Context,
    file: Annotated[Path, Doc("file to write, readable by you alone"), File(write=True)],
    *,
    store: Annotated[
        str | None, Doc(f"address of the store as guests reach it; http://{GATEWAY}:{place.PORT} otherwise")
    ] = None,
    token_file: place.TokenFile = None,
    port: Annotated[int, Doc("port that the service listens at")] = 8080,
    slots: place.Slots = 1,
    rounds: place.Rounds = 1,
    seconds: place.Seconds = 0.0,
    queue: place.Queue = 64,
) -> str:
    """Write the script that starts the licence-plate service in a VM, now and at every boot.

    `cms vm boot --user-data` and `cms group create --user-data` take it, on the micro image as on those with
    cloud-init; in a machine that is there root runs it. It holds the token of the store.
    """
    where = address(store or f"http://{GATEWAY}:{place.PORT}").text
    text = script(
        where,
        token.provide(place.token_file(token_file)),
        port=port,
        slots=slots,
        rounds=rounds,
        seconds=seconds,
        queue=queue,
    )
    _write(file, text)
    ctx.note(f"{file} holds the token of the store: keep it to yourself")
    return f"{file}\n"


def _write(file: Path, text: str) -> None:
    """Write the script as a whole, in the place of an earlier one but of nothing else. Raises: Exists, Denied."""
    beside = file.with_name(f".{file.name}.new")
    try:
        if file.exists() and not file.read_bytes().startswith(MARK.encode()):
            raise Exists(f"{file} is there and is something else", hint="name another file")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
        beside.replace(file)
    except OSError as error:
        raise Denied(f"{file} cannot be written: {error.strerror}", hint="name another file") from None
