"""Where the store of answers is, for the commands that ask it and the members that are told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cloudms import paths
from cloudms.verb import Doc

PORT = 8322
"""Where a store listens unless another port is given, so that members made today find it tomorrow."""
URL = f"http://127.0.0.1:{PORT}"

StoreUrl = Annotated[str | None, Doc(f"address of the store of answers; {URL} otherwise")]
TokenFile = Annotated[Path | None, Doc("file with the token of the store; workload/token beside the configuration")]
Slots = Annotated[int, Doc("how many requests a member works on at once")]
Rounds = Annotated[int, Doc("rounds of hashing for a plate (PBKDF2), the work that a processor does")]
Seconds = Annotated[float, Doc("seconds that a request holds its slot beyond the hashing")]
Queue = Annotated[int, Doc("how many requests wait for a slot before others are sent away")]


def token_file(given: Path | None = None) -> Path:
    """Return the file of the token."""
    return (given or paths.home() / "workload" / "token").expanduser().absolute()


def answers_file() -> Path:
    """Return the file in which a store keeps answers unless another is given."""
    return paths.home() / "workload" / "answers.sqlite"
