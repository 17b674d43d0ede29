"""Names: counting up, free names, patterns, host lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudms import names
from cloudms.errors import Exists, Invalid

CASES = Path(__file__).parent.parent / "cases"


def cases(file: str) -> list[Any]:
    """Return the cases of one data file."""
    found: list[Any] = json.loads((CASES / file).read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize(("name", "after"), cases("names/increment.json"))
def test_increment(name: str, after: str) -> None:
    assert names.increment(name) == after


@pytest.mark.parametrize("case", cases("names/series.json"), ids=lambda c: f"{c['base']}x{c['count']}-{c['taken']}")
def test_series(case: dict[str, Any]) -> None:
    assert names.series(case["base"], case["count"], set(case["taken"]).__contains__) == case["names"]


def test_series_gives_up_when_every_name_is_taken() -> None:
    with pytest.raises(Exists, match="no free name follows web"):
        names.series("web", 1, lambda name: True)


@pytest.mark.parametrize(("base", "count"), [("web", 0), ("web", -1), ("web", 10_001), ("no good", 1), ("", 1)])
def test_series_refuses(base: str, count: int) -> None:
    with pytest.raises(Invalid):
        names.series(base, count, lambda name: False)


def test_series_never_gives_a_name_that_is_too_long() -> None:
    with pytest.raises(Invalid, match="longer than 63"):
        names.series("a" * 62 + "9", 2, lambda name: False)


@pytest.mark.parametrize(("name", "suggestion"), cases("names/valid.json"))
def test_valid(name: str, suggestion: str | None) -> None:
    if suggestion is None:
        assert names.valid(name) == name
        return
    with pytest.raises(Invalid) as caught:
        names.valid(name)
    assert caught.value.hint.endswith(f": {suggestion}")
    assert names.valid(suggestion) == suggestion
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(("name", "host"), cases("names/hostname.json"))
def test_hostname(name: str, host: str) -> None:
    assert names.hostname(name) == host


@pytest.mark.parametrize("case", cases("names/render.json"), ids=lambda c: c["pattern"])
def test_render(case: dict[str, Any]) -> None:
    if "name" in case:
        assert names.render(case["pattern"], case["values"]) == case["name"]
        return
    with pytest.raises(Invalid) as caught:
        names.render(case["pattern"], case["values"])
    for part in case["error"]:
        assert part in caught.value.message + caught.value.hint


def test_render_names_the_known_keys() -> None:
    with pytest.raises(Invalid) as caught:
        names.render("{x}", {"user": 1, "cloud": 2})
    assert "known: cloud, user" in caught.value.hint


@pytest.mark.parametrize("case", cases("hostlists/expand.json"), ids=lambda c: c["text"])
def test_expand(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(Invalid) as caught:
            names.expand(case["text"])
        assert case["error"] in caught.value.message + caught.value.hint
        assert caught.value.hint
        return
    found = names.expand(case["text"])
    assert len(found) == case.get("count", len(found))
    assert found == case.get("names", found)


@pytest.mark.parametrize(("given", "text"), cases("hostlists/compress.json"))
def test_compress(given: list[str], text: str) -> None:
    assert names.compress(given) == text
    if given:
        assert sorted(names.expand(text)) == sorted(set(given))


@pytest.mark.parametrize(
    "case", [c for c in cases("hostlists/expand.json") if "error" not in c], ids=lambda c: c["text"]
)
def test_compress_is_the_way_back(case: dict[str, Any]) -> None:
    given = names.expand(case["text"])
    assert sorted(names.expand(names.compress(given))) == sorted(given)


def test_nearest() -> None:
    assert names.nearest("imgae", ["size", "image"]) == "image"
    assert names.nearest("AWS", ["aws", "azure"]) == "aws"
    assert names.nearest("zzz", ["image"]) is None
    assert names.nearest("x", []) is None


def test_unreserved() -> None:
    assert names.unreserved("lab", {"vm", "image"}, "cloud") == "lab"
    with pytest.raises(Invalid, match="cannot name an alias"):
        names.unreserved("vm", {"vm"}, "alias")


@pytest.mark.parametrize(
    "given",
    [None, {}, {"tier": "front"}, {"k" * 128: "v" * 255}, {"größe": ""}, {"kubernetes.io/x:y": "a = b, c"}],
    ids=lambda given: str(given)[:20],
)
def test_labels(given: dict[str, str] | None) -> None:
    assert names.labels(given) == (given or {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("", "v"), ("a b", "v"), ("a=b", "v"), ("a\n", "v"), ("a\tb", "v"), ("a\u2003b", "v"), ("k" * 129, "v"),
        ("k", "a\nb"), ("k", "\x1b[31m"), ("k", "v" * 256), ("k", "\ud800"), ("\ud800", "v"), ("k", 1),
    ],
)  # fmt: skip
def test_labels_refuses(key: str, value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        names.labels({"fine": "too", key: value})
    assert caught.value.hint
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200
