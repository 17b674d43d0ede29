"""Values: references in them, and scalars that must survive as written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloudms.config import Config
from cloudms.errors import ConfigError
from tests.unit.config.sample import write


def config_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    """Return the configuration of a file with `text` below cloudmesh."""
    lines = "".join(f"  {line}\n" for line in text.splitlines())
    return Config(write(folder, f"cloudmesh:\n{lines}"), environ=environ)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("~", None),
        ("'~'", "HOME"),
        ("~/x", "HOME/x"),
        ("a/~/x", "a/~/x"),
        ("~ada/x", "~ada/x"),
        ("'~\\.cloudmesh'", "~\\.cloudmesh"),
        ("$VAR/x", "value/x"),
        ("${VAR}x", "valuex"),
        ("$VARx", "$VARx"),
        ("$1", "$1"),
        ("cost: $", None),
        ("$NESTED", "$VAR {cloudmesh.word}"),
        ("'.'", "CWD"),
        (".", "CWD"),
        ("./x", "./x"),
        ("'{cloudmesh.word}'", "deep"),
        ("{cloudmesh.word}", "deep"),
        ("a-{cloudmesh.word}-{cloudmesh.number}", "a-deep-7"),
        ("'{cloudmesh.number}'", 7),
        ("'{cloudmesh.truth} is'", "true is"),
        ("'{cloudmesh.section}'", {"a": "deep"}),
        ("'x {cloudmesh.section}'", "x {cloudmesh.section}"),
        ("'{cloudmesh.nothing}'", "{cloudmesh.nothing}"),
        ("'{username}'", "{username}"),
        ("'{ODBC Driver 17 for SQL Server}'", "{ODBC Driver 17 for SQL Server}"),
        ("'{__import__(''os'').system(''touch pwned'')}'", "{__import__('os').system('touch pwned')}"),
        ("'{cloudmesh.__class__.__mro__}'", "{cloudmesh.__class__.__mro__}"),
        ("'{cloudmesh.word.__class__}'", "{cloudmesh.word.__class__}"),
        ("'{cloudmesh.word!r:>{cloudmesh.number}}'", "{cloudmesh.word!r:>7}"),
        ("'$(touch pwned) `touch pwned`'", "$(touch pwned) `touch pwned`"),
        ("'%(word)s {0}'", "%(word)s {0}"),
        ("[$VAR, {a: ~/x}]", ["value", {"a": "HOME/x"}]),
    ],
)
def test_substitution(written: str, value: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None and written != "~":
        with pytest.raises(ConfigError, match="not YAML"):
            config_of(folder, f"x: {written}").get("x")
        return
    monkeypatch.chdir(tmp_path)
    base = "number: 7\ntruth: true\nword: '{cloudmesh.section.a}'\nsection: {a: deep}\n"
    config = config_of(folder, base + f"x: {written}", {"VAR": "value", "NESTED": "$VAR {cloudmesh.word}"})
    wanted = json.loads(json.dumps(value).replace("HOME", str(folder.parent)).replace("CWD", str(tmp_path)))
    assert config.get("x") == wanted
    assert config.data["cloudmesh"]["x"] == wanted
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("text", "circle"),
    [
        ("x: '{cloudmesh.x}'", "cloudmesh.x -> cloudmesh.x"),
        ("x: 'a{cloudmesh.y}'\ny: 'b{cloudmesh.x}'", "cloudmesh.y -> cloudmesh.x -> cloudmesh.y"),
        ("x: {a: '{cloudmesh.x}'}", "cloudmesh.x -> cloudmesh.x"),
    ],
)
def test_circles(text: str, circle: str, folder: Path) -> None:
    config = config_of(folder, text)
    with pytest.raises(ConfigError, match=circle):
        config.get("x")
    assert any("circle" in f.message and f.line for f in config.check() if f.level == "error")
    assert config.cloud("local").active


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("18.10", "18.10"), ("18.04", 18.04), ("0.1", 0.1), ("1.0", 1.0), ("18.09.2", "18.09.2"), ("22:22", "22:22"),
        ("0123", "0123"), ("0x10", "0x10"), ("1_000", "1_000"), ("1e3", "1e3"), ("NO", "NO"), ("yes", "yes"),
        ("True", True), ("false", False), ("7", 7), ("-7", -7), ("123456789012", 123456789012),
        ("12345678901234567890123", "12345678901234567890123"), ("2019-04-19", "2019-04-19"), ("null", None),
        ("'7'", "7"), ("!!str 7", "7"), (".5", ".5"), ("+1", "+1"), ("=", "="),
    ],
)  # fmt: skip
def test_values_read_as_written(written: str, value: Any, folder: Path) -> None:
    found = config_of(folder, f"x: {written}").data["cloudmesh"]["x"]
    assert (found, type(found)) == (value, type(value))


def test_anchors_and_merges(folder: Path) -> None:
    config = config_of(folder, "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{z: 4}, *a]}\nd: *a")
    assert [config.get(key) for key in "bcd"] == [{"x": 1, "y": 3}, {"z": 4, "x": 1, "y": 2}, {"x": 1, "y": 2}]
