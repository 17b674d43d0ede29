"""The script that makes a VM a member."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloudms.errors import Invalid
from cloudms.lease import packed
from cloudms.workload import service, userdata
from cloudms.workload.userdata import script
from tests.unit.workload.conftest import TOKEN

STORE = "http://10.0.2.2:8322"


def test_it_is_a_script_for_any_shell() -> None:
    for shell in ("dash", "bash", "busybox"):
        argv = [shell, "-n"] if shell != "busybox" else ["busybox", "sh", "-n"]
        try:
            done = subprocess.run(argv, input=script(STORE, TOKEN), text=True, capture_output=True, check=False)
        except FileNotFoundError:
            continue
        assert done.returncode == 0, done.stderr
    assert script(STORE, TOKEN).startswith(userdata.MARK)


def test_what_it_brings_is_the_service_and_its_settings() -> None:
    text = script(STORE, TOKEN, port=8081, slots=3, seconds=0.5, queue=7)
    (brought,) = re.findall(r"<<'END-OF-SERVICE'\n(.*?)END-OF-SERVICE\n", text, re.DOTALL)
    assert brought == Path(service.__file__).read_text(encoding="utf-8")
    (settings,) = re.findall(r"<<'END-OF-SETTINGS'.*\n(.*)\nEND-OF-SETTINGS\n", text)
    assert json.loads(settings) == {
        "store": STORE, "token": TOKEN, "port": 8081, "slots": 3, "rounds": 1, "seconds": 0.5, "queue": 7,
    }  # fmt: skip
    assert text.count(TOKEN) == 1
    assert "@" not in re.sub(r"<<'END-OF-SERVICE'\n.*?END-OF-SERVICE\n", "", text, flags=re.DOTALL)


def test_no_setting_can_end_the_script_early() -> None:
    text = script("http://h/\nEND-OF-SETTINGS\nreboot", TOKEN)
    assert text.count("\nEND-OF-SETTINGS\n") == 1


def test_the_service_stands_on_the_standard_library_alone() -> None:
    tree = ast.parse(Path(service.__file__).read_text(encoding="utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    named |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).partition(".")[0] for name in named} <= sys.stdlib_module_names


def test_it_fits_into_the_user_data_of_a_cloud() -> None:
    assert len(packed(script(STORE, TOKEN))) < 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0}, {"slots": 5000}, {"rounds": 0}, {"rounds": 10**12}, {"seconds": -1.0}, {"seconds": float("nan")},
        {"queue": -1}, {"port": 0}, {"port": 65536},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_said(wrong: dict[str, int]) -> None:
    with pytest.raises(Invalid):
        script(STORE, TOKEN, **wrong)  # type: ignore[arg-type]
