"""Lists in pages, and filters by date, where moto answers everything at once."""

from __future__ import annotations

import uuid
import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase

from tests.aws.rules import after, before
from tests.aws.wire import NAMESPACE, Call, Refused, Reply, below, text_of, written
from tests.aws.world import World

SETS = {
    "DescribeImages": ("imagesSet", 0, 1, 1000),
    "DescribeVolumes": ("volumeSet", 0, 1, 1000),
    "DescribeSnapshots": ("snapshotSet", 0, 5, 1000),
    "DescribeInstanceTypes": ("instanceTypeSet", 100, 5, 100),
    "DescribeInstanceTypeOfferings": ("instanceTypeOfferingSet", 1000, 5, 1000),
    "DescribeSecurityGroups": ("securityGroupInfo", 0, 5, 1000),
    "DescribeTags": ("tagSet", 0, 5, 1000),
}
"""Action to the element with its rows, rows a page without MaxResults (0: all), and the bounds of MaxResults."""

SAME = ("DescribeInstanceTypes", "DescribeInstanceTypeOfferings")
"""Answers that never change."""

_OF_PAGES = ("MaxResults", "NextToken")


@before(*SETS)
def next_page(world: World, call: Call) -> Reply | None:
    """Answer the following pages from what was kept with the first."""
    _set, size, least, most = SETS[call.action]
    asked = call.params.get("MaxResults")
    if asked is not None and not least <= int(asked) <= most:
        text = f"Value ( {asked} ) for parameter maxResults is invalid. Expecting a value between {least} and {most}."
        raise Refused("InvalidParameterValue", text)
    if asked and call.action == "DescribeVolumes" and call.rows("VolumeId"):
        raise Refused("InvalidParameterCombination", "The parameter volumes cannot be used with maxResults")
    call.notes["size"] = int(asked or size)
    token = call.params.get("NextToken", "")
    call.drop(*_OF_PAGES)
    if token:
        action, rows = world.pages.get(token, ("", []))
        if action != call.action:
            raise Refused("InvalidPaginationToken", "The pagination token is not valid")
        return _page(world, call, _frame(call.action), rows)
    return _kept(world, call)


def _kept(world: World, call: Call) -> Reply | None:
    if call.action in SAME and (body := world.whole.get(_same(call))) is not None:
        return _first(world, call, Reply(body=body))
    return None


def _same(call: Call) -> tuple[str, frozenset[tuple[str, str]]]:
    return call.region, frozenset(call.params.items())


def _frame(action: str) -> ET.Element:
    root = ET.Element(f"{{{NAMESPACE}}}{action}Response")
    ET.SubElement(root, f"{{{NAMESPACE}}}requestId").text = str(uuid.uuid4())
    ET.SubElement(root, f"{{{NAMESPACE}}}{SETS[action][0]}")
    return root


def _first(world: World, call: Call, reply: Reply) -> Reply:
    root = reply.tree()
    (rows,) = below(root, SETS[call.action][0])
    items = list(rows)
    for item in items:
        rows.remove(item)
    return _page(world, call, root, items)


def _page(world: World, call: Call, root: ET.Element, items: list[ET.Element]) -> Reply:
    """Put as many rows into the answer as fit, and a token for the rest."""
    size = call.notes["size"] or len(items)
    (rows,) = below(root, SETS[call.action][0])
    rows.extend(items[:size])
    if items[size:]:
        token = uuid.uuid4().hex
        world.pages[token] = (call.action, items[size:])
        ET.SubElement(root, f"{{{NAMESPACE}}}nextToken").text = token
    return Reply(body=written(root))


@before("DescribeImages")
def date_is_ours(_world: World, call: Call) -> Reply | None:
    """Keep the filter creation-date from moto, which finds nothing by it."""
    filters = call.filters()
    if "creation-date" in filters:
        call.notes["dates"] = filters.pop("creation-date")
        call.set_filters(filters)
    return None


@after(*SETS)
def first_page(world: World, call: Call, reply: Reply) -> Reply:
    """Answer the first page and keep the rest."""
    if call.action in SAME:
        world.whole[_same(call)] = reply.body
    dates = call.notes.get("dates")
    if dates is not None:
        root = reply.tree()
        (rows,) = below(root, "imagesSet")
        for item in list(rows):
            if not any(fnmatchcase(text_of(item, "creationDate"), date) for date in dates):
                rows.remove(item)
        reply = Reply(body=written(root))
    return _first(world, call, reply) if call.notes["size"] else reply
