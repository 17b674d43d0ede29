"""`cms workload store`: the store of answers, as a service on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cloudms.config.secret import follow, is_reference
from cloudms.context import Context
from cloudms.errors import Denied, Interrupted, Invalid
from cloudms.verb import Doc, File, verb
from cloudms.verbs.workload import place
from cloudms.workload import token
from cloudms.workload.store import storing
from cloudms.workload.userdata import port_of

_LOOK_S = 0.5


@verb("workload", "store", streams=True, doors=("cli", "shell"), example="cms workload store --port 8322")
def store(
    ctx: Context,
    *,
    host: Annotated[str, Doc("loopback address to listen at")] = "127.0.0.1",
    port: Annotated[int, Doc("port to listen at; 0 takes a free one")] = place.PORT,
    file: Annotated[
        Path | None, Doc("file that keeps the answers; workload/answers.sqlite otherwise"), File(write=True)
    ] = None,
    database: Annotated[
        str | None, Doc("PostgreSQL that keeps them: env:NAME or file:PATH with its URL, or the URL without a password")
    ] = None,
    token_file: place.TokenFile = None,
) -> Iterator[str]:
    """Keep the answers of the licence-plate service until Ctrl-C or SIGTERM.

    The first answer to an id stays, whichever member brings it. Members and others need the token of the file. Guests
    with user-mode networking reach the loopback of this machine as 10.0.2.2.
    """
    if file is not None and database is not None:
        raise Invalid("--file and --database are two places", hint="leave one of them out")
    where = _database(database) if database is not None else (file or place.answers_file()).expanduser().absolute()
    secret = place.token_file(token_file)
    with storing(where, token.provide(secret), clock=ctx.clock, host=host, port=port_of(port)) as serving:
        yield f"listening at {serving.url}"
        yield f"guests with user-mode networking reach it at {serving.guest_url}"
        yield f"the token is in {secret}"
        yield f"answers are in {where}" if isinstance(where, Path) else "answers are in PostgreSQL"
        try:
            while True:
                ctx.pause(_LOOK_S)
        except (KeyboardInterrupt, Interrupted):
            counts = serving.answers.counts()
    yield f"stopped; {counts['answers']} answers are stored"


def _database(given: str) -> str:
    """Return the address of a database. Raises: Denied (a password that others can see), ConfigError."""
    url = follow(given, os.environ).strip()
    if not is_reference(given) and "@" in url and ":" in url.partition("//")[2].rpartition("@")[0]:
        raise Denied(
            "others see a password on a command line", hint="--database env:NAME or file:PATH, or put it in ~/.pgpass"
        )
    return url
