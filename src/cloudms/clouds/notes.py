"""What clouds that keep text beside a VM write the same way: times, truths, the names of a batch, its tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cloudms import names as naming
from cloudms.errors import CloudmsError, Invalid
from cloudms.model import VmSpec
from cloudms.record import Record

PREFIX = "cms:"
TOKEN, OWNER, EXPIRES, PROTECTED, GROUP = "cms:token", "cms:owner", "cms:expires", "cms:protected", "cms:group"
IMAGE, LOGIN, KEY, ADOPTED, KEEP_STOPPED, TIMER = (
    "cms:image", "cms:login", "cms:key", "cms:adopted", "cms:keep-stopped", "cms:timer",
)  # fmt: skip
BATCH, NAMES = "cms:batch", "cms:names"

_KEPT = 64
"""Host lists that are kept expanded, since all VMs of a request ask for the same one."""
_expansions: dict[str, list[str]] = {}


class Notes(Record):
    """What is kept of a VM on every such cloud; times are epoch seconds, written as whole ones.

    `token` of a VM of a batch has its number behind a dot already; `batch` is how many VMs the request made (0: it was
    no batch); `timer` says whether the guest ends itself with its lease; `image` is the name that was asked for.
    """

    token: str = ""
    owner: str = ""
    name: str = ""
    expires: float | None = None
    protected: bool = False
    group: str = ""
    image: str = ""
    login: str = ""
    key: str = ""
    adopted: bool = False
    keep_stopped: bool = False
    timer: bool = False
    batch: int = 0
    labels: Mapping[str, str] = {}

    def said(self) -> dict[str, str]:
        """Return what is written alike everywhere: all but the name, the batch and the labels."""
        said = {
            TOKEN: self.token, OWNER: self.owner, GROUP: self.group, IMAGE: self.image, LOGIN: self.login,
            KEY: self.key, EXPIRES: end_text(self.expires, timer=self.timer), PROTECTED: yes(self.protected),
            ADOPTED: yes(self.adopted), KEEP_STOPPED: yes(self.keep_stopped), TIMER: yes(self.timer),
        }  # fmt: skip
        return {key: value for key, value in said.items() if value}


def heard(pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return what `said` wrote and `batch`, as fields; what cannot be read is as if it were not there."""
    return {
        "token": pairs.get(TOKEN, ""), "owner": pairs.get(OWNER, ""), "group": pairs.get(GROUP, ""),
        "image": pairs.get(IMAGE, ""), "login": pairs.get(LOGIN, ""), "key": pairs.get(KEY, ""),
        "expires": time_of(pairs.get(EXPIRES)), "protected": pairs.get(PROTECTED) == "yes",
        "adopted": pairs.get(ADOPTED) == "yes", "keep_stopped": pairs.get(KEEP_STOPPED) == "yes",
        "timer": pairs.get(TIMER) == "yes", "batch": int(pairs[BATCH]) if pairs.get(BATCH, "").isdigit() else 0,
    }  # fmt: skip


def base_token(token: str) -> tuple[str, int]:
    """Return the token of the request and the number in it: `abc.3` is `abc` and 3, a single VM has 0."""
    base, dot, number = token.rpartition(".")
    return (base, int(number)) if dot and number.isdigit() and base else (token, 0)


def batch_token(specs: Sequence[VmSpec]) -> str:
    """Return the token of a batch. Raises: Invalid when its VMs have none in common, TOKEN.1 to TOKEN.N."""
    token = specs[0].token.rpartition(".")[0] if specs else ""
    if not token or [spec.token for spec in specs] != [f"{token}.{nth}" for nth in range(1, len(specs) + 1)]:
        raise Invalid("the tokens of a batch are TOKEN.1 to TOKEN.N", hint="ask for a whole batch, in its order")
    return token


def yes(flag: bool) -> str:
    """Return a truth as text; one that does not hold is not written."""
    return "yes" if flag else ""


def time_text(seconds: float | None) -> str:
    """Return a time as text: whole epoch seconds, which a guest can compare without a calendar."""
    return "" if seconds is None else str(int(seconds))


def end_text(seconds: float | None, *, timer: bool) -> str:
    """Return the end of a lease as text: a guest with a timer must be told that there is none."""
    return time_text(seconds) or ("never" if timer else "")


def time_of(text: str | None) -> float | None:
    """Return the time in a text; None when it is none."""
    return float(text) if text and re.fullmatch(r"\d{1,11}(\.\d+)?", text) else None


def names_pairs(names: Sequence[str], key: str, longest: int) -> dict[str, str]:
    """Return the names of a batch as pairs KEY, KEY.2, KEY.3 …, each no longer than a cloud takes."""
    text = names_text(names)
    parts = [text[at : at + longest] for at in range(0, len(text), longest)]
    return {key if at == 0 else f"{key}.{at + 1}": part for at, part in enumerate(parts)}


def names_text(names: Sequence[str]) -> str:
    """Return names as a host list, or with commas where that would lose their order."""
    text = naming.compress(names)
    return text if naming.expand(text) == list(names) else ",".join(names)


def names_of(pairs: Mapping[str, str], key: str) -> list[str]:
    """Return the names that `names_pairs` wrote; none where they cannot be read."""
    text, number = pairs.get(key, ""), 2
    while part := pairs.get(f"{key}.{number}"):
        text, number = text + part, number + 1
    found = _expansions.get(text)
    if found is None:
        if len(_expansions) >= _KEPT:
            _expansions.clear()
        try:
            found = naming.expand(text) if text else []
        except CloudmsError:
            found = []
        _expansions[text] = found
    return found
