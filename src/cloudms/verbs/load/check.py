"""`cms load check`: what a ledger proves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.errors import CloudmsError, Partial
from cloudms.verb import LOCAL, Doc, File, verb
from cloudms.verbs.workload.place import URL, StoreUrl, TokenFile, token_file
from cloudms.workload import token
from cloudms.workload.ledger import Lines, prove, told
from cloudms.workload.nouns import Verdict
from cloudms.workload.store import answers_of


@verb("load", "check", streams=True, doors=LOCAL, columns=Verdict.columns, example="cms load check plates.ledger")
def check(
    ctx: Context,
    ledger: Annotated[Path, Doc("file that cms load run wrote"), File()],
    *,
    store: StoreUrl = None,
    token_file: TokenFile = None,
) -> Iterator[Verdict]:
    """Prove that each request of a load was answered exactly once and stored once, or name those that were not.

    Requests that were lost, answered twice, answered otherwise than stored, stored and never sent, or whose hash is
    not their plate's are named by their ids. It ends with exit code 12 when there are any.
    """
    verdict = proof(ctx, ledger, store, token_file, needed=True)
    yield verdict
    if not verdict.good:
        raise Partial(told(verdict), hint=f"cms load check {ledger} -o json names all of them")
    ctx.note(told(verdict))


def proof(ctx: Context, ledger: Path, store: str | None, secret: Path | None, *, needed: bool) -> Verdict:
    """Return what a ledger proves, beside the store where its answers are in one.

    Parameters: `needed`, whether a store that does not answer is an error, although none was named.
    """
    lines = Lines(ledger)
    if not lines.proved:
        return prove(lines)
    try:
        found = list(answers_of(store or URL, token.read(token_file(secret)), f"{lines.run}-"))
    except CloudmsError as error:
        if needed or store is not None:
            raise
        ctx.warn(f"the store was not asked: {error.message}")
        return prove(lines)
    return prove(lines, found)
