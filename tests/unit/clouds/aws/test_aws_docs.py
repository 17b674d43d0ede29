"""docs/aws.md is complete: every setting, every tag, every right that the code asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cloudms.clouds import notes
from cloudms.clouds.aws import tags
from cloudms.clouds.aws.errors import action
from cloudms.config import known

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "aws.md").read_text(encoding="utf-8")
VERBS = (
    "allocate", "associate", "attach", "authorize", "copy", "create", "delete", "deregister", "describe", "detach",
    "disassociate", "get", "import", "list", "modify", "reboot", "register", "release", "revoke", "run", "start",
    "stop", "terminate",
)  # fmt: skip


def operations() -> set[str]:
    """Return the operations in boto3's snake case that stand in the code."""
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "src/cloudms/clouds/aws").glob("*.py"))
    return {word for word in re.findall(r'"([a-z]+(?:_[a-z]+)+)"', code) if word.partition("_")[0] in VERBS}


def policy() -> list[str]:
    """Return the actions of the policy without their service."""
    (text,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    statements = json.loads(text)["Statement"]
    return [each.partition(":")[2] for statement in statements for each in statement["Action"]]


def test_the_policy_allows_every_operation_and_nothing_else() -> None:
    used = {action(operation) for operation in operations()}
    allowed = set(policy())
    assert len(used) > 30
    assert {each for each in used if not each.startswith("Describe")} == allowed - {"Describe*"}


@pytest.mark.parametrize("name", [*known.OPTIONS["aws"], *known.EVERY_OPTION])
def test_a_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_tag_is_documented() -> None:
    kept = {**vars(notes), **vars(tags)}
    ours = [value for name, value in kept.items() if name.isupper() and str(value).startswith("cms:")]
    missing = [value for value in ours if value not in (notes.PREFIX, tags.LABEL) and f"`{value}`" not in PAGE]
    assert len(ours) > 10
    assert missing == []
