"""Limits of accounts: how much there may be, and how much of it there is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from cloudms.clouds.base import Quotas
from cloudms.context import Context
from cloudms.engine import Listing
from cloudms.engine.browse import browse
from cloudms.model import Noun, Quota
from cloudms.verb import Doc, verb
from cloudms.verbs.lists import Cached, CloudName, Refresh

Words = Annotated[list[str], Doc("only quotas in which all these words occur")]


@verb("quota", "list", columns=Quota.columns, example="cms quota list --cloud fake")
def list_(
    ctx: Context,
    words: Words = [],  # noqa: B006 (never changed)
    *,
    cloud: CloudName = None,
    cached: Cached = False,
    refresh: Refresh = False,
) -> Listing:
    """List the limits of the accounts, and what is used of them where the cloud tells it."""
    find = {"text": " ".join(words)}
    return browse(ctx, "quota", _quotas_of, cloud=cloud or "", role=Quotas, cached=cached, refresh=refresh, find=find)


def _quotas_of(opened: Quotas) -> Iterable[Noun]:
    return opened.list_quotas()
