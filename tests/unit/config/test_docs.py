"""The page about the configuration tells everything there is to say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cloudms.config import known, secret, settings
from cloudms.config.store import ALIASES, BASE_NAMES, FILES

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")

WORDS = [
    *settings.BUILT_IN,
    *map(str, settings.BUILT_IN.values()),
    *settings.SHORT,
    *settings.PER_CLOUD,
    *known.EVERY_OPTION,
    *ALIASES,
    *BASE_NAMES.values(),
    *FILES,
    *(f"{scheme}:" for scheme in secret._SCHEMES),
    *("active", "inactive", "unset", "unsupported"),
    *("CLOUDMESH_CONFIG", "CLOUDMESH_CONFIG_DIR", settings.environment_name("default.cloud")),
]


@pytest.mark.parametrize("word", sorted(set(WORDS)))
def test_word_is_documented(word: str) -> None:
    assert re.search(rf"(?<![\w.]){re.escape(word)}(?!(?<=\w)\w)", PAGE)


def test_links_lead_somewhere() -> None:
    for page in ("configuration.md", "coming-from-cloudmesh.md"):
        text = (DOCS / page).read_text(encoding="utf-8")
        for target, anchor in re.findall(r"\]\(([\w-]+\.md)(#[\w-]+)?\)", text):
            assert (DOCS / target).exists()
            assert not anchor or f"\n## {anchor[1:].replace('-', ' ').capitalize()}\n" in (DOCS / target).read_text()


def test_the_python_of_the_page_runs(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
    sample = next(text for kind, text in blocks if kind == "yaml" and "lab:" in text)
    code = next(text for kind, text in blocks if kind == "python")
    folder = own_home / ".cloudmesh"
    folder.mkdir()
    (folder / "cloudmesh.yaml").write_text(sample + "  data:\n    mongo:\n      MONGO_HOST: here\n")
    monkeypatch.setenv("LAB_PASSWORD", "s3cr3t")
    found: dict[str, object] = {}
    exec(compile(code, "configuration.md", "exec"), found)  # noqa: S102 (the page's own example)
    assert found["host"] == "here"
    assert (folder / "cloudmesh.yaml").read_text().count("image: debian\n") == 1
    assert (folder / "counter.yaml").read_text() == "counter: 1\n"
