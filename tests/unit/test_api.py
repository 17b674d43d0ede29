"""The Python door: every verb a method, every change a handle."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cloudms
from cloudms import registry
from cloudms.api import Cms, Found, Handle
from cloudms.engine.plan import Plan
from cloudms.errors import Interrupted, Invalid, NoCapacity, NotReady, Partial, Timeout, tree
from cloudms.model import OperationState, Step, Vm
from cloudms.registry import FAMILIES, Index, VerbEntry
from cloudms.verb import verbs_of
from tests.unit.doors import toys


@pytest.fixture(autouse=True)
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """Put the toy verbs in the place of the real ones."""
    entries = [
        VerbEntry(
            path=v.path, module=toys.__name__, summary=v.summary, aliases=v.aliases, doors=v.doors, changes=v.changes
        )
        for v in verbs_of(toys)
    ]
    shy = [
        VerbEntry(path=("toy", "import"), module="x", summary="Import", doors=("python",)),
        VerbEntry(path=("toy-box", "open"), module="x", summary="Open", doors=("python",)),
        VerbEntry(path=("web", "only"), module="x", summary="Only on the web", doors=("rest",)),
    ]
    found = Index(stamp="toys", verbs=(*entries, *shy), texts={"toy": "Things to play with"}, families=FAMILIES)
    monkeypatch.setattr(registry, "_index", found)
    return found


@pytest.fixture
def heard() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def cms(heard: list[tuple[str, str]]) -> Iterator[Cms]:
    with Cms(progress=lambda target, text: heard.append((target, text))) as found:
        yield found


def test_a_reading_verb_returns_what_it_found(cms: Cms) -> None:
    assert cms.toy.show("web1").name == "web1"
    assert cms.toy.data()["version"] == 1
    assert cms.toy.text() == "one\ntwo"
    assert list(cms.toy.lines()) == ["first", "second"]
    assert cms.toy.sub.deep() == "deep"
    assert cms.alone("x") == "x"


def test_a_list_knows_its_age_and_the_silent_clouds(cms: Cms) -> None:
    found = cms.toy.list(silent=1)
    assert isinstance(found, Found)
    assert [vm.name for vm in found] == ["web1", "web2"]
    assert list(found.failed) == ["far0"]
    assert found.fetched is not None
    assert not found.cached
    assert cms.toy.ls(items=1)[0].name == "web1"


def test_an_empty_list_is_empty(cms: Cms) -> None:
    assert cms.toy.list(items=0) == []
    assert cms.toy.list(items=0, silent=1) == []


def test_when_the_only_cloud_is_silent_its_error_is_raised() -> None:
    with Cms(cloud="fake") as cms, pytest.raises(NotReady, match="far does not answer"):
        cms.toy.list(items=0, silent=1)


def test_a_change_begins_at_once_and_has_a_result(cms: Cms, heard: list[tuple[str, str]]) -> None:
    handle = cms.toy.make(["a", "b"])
    assert isinstance(handle, Handle)
    found = handle.result(timeout=30)
    assert all(isinstance(vm, Vm) for vm in found)
    assert [vm.name for vm in found] == ["a", "b"]
    assert found[0].created == toys.WEB.created
    assert handle.done
    assert (handle.name, handle.operation.state) == ("op-1", OperationState.DONE)
    assert handle.plan.summary == "make 2 toys"
    assert repr(handle) == "<op-1: make 2 toys, done>"
    assert ("a", "being painted") in heard


def test_what_leaves_nothing_gives_its_step(cms: Cms) -> None:
    (step,) = cms.toy.make("a", gone=True).result(timeout=30)
    assert isinstance(step, Step)
    assert step.target == "a"


def test_a_dry_run_returns_the_plan_and_changes_nothing(cms: Cms) -> None:
    plan = cms.toy.make("a", dry_run=True)
    assert isinstance(plan, Plan)
    assert cms.context.catalog.count("operation") == 0


def test_failures_are_raised_when_the_result_is_wanted(cms: Cms) -> None:
    partial = cms.toy.make(["a", "b"], fail="b")
    assert partial.wait(timeout=30).state is OperationState.PARTIAL
    with pytest.raises(Partial) as caught:
        partial.result()
    assert list(caught.value.details["failed"]) == ["b"]
    with pytest.raises(NoCapacity, match="the shelf is full"):
        cms.toy.make("a", full=["a"]).result(timeout=30)


def test_a_change_can_be_cancelled_without_stopping_others(cms: Cms) -> None:
    waiting = cms.toy.make(["a", "b"], wait=True)
    with pytest.raises(Timeout, match="goes on"):
        waiting.wait(timeout=0)
    assert waiting.operation.state is OperationState.RUNNING
    waiting.cancel()
    with pytest.raises(Interrupted):
        waiting.wait(timeout=30)
    assert waiting.operation.state is OperationState.CANCELLED
    assert cms.toy.make("c").result(timeout=30)[0].name == "c"


def test_ctrl_c_while_waiting_cancels(cms: Cms, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = cms.toy.make("a", wait=True)
    join = threading.Thread.join
    calls: list[float | None] = []

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        calls.append(timeout)
        if len(calls) == 1:
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        waiting.wait()
    assert waiting.done
    assert waiting.operation.state is OperationState.CANCELLED


def test_leaving_the_block_waits_for_changes() -> None:
    with Cms() as cms:
        handle = cms.toy.make("a")
    assert handle.done
    assert handle.operation.state is OperationState.DONE


def test_names_may_be_nouns_or_one_word(cms: Cms) -> None:
    vm = toys.WEB.with_(name="x")
    assert [s.target for s in cms.toy.make(vm, dry_run=True).steps] == ["x"]
    assert [s.target for s in cms.toy.make([vm, "y"], dry_run=True).steps] == ["x", "y"]
    assert [s.target for s in cms.toy.make((name for name in "pq"), dry_run=True).steps] == ["p", "q"]
    assert cms.toy.show(vm).name == "x"


def test_values_are_those_of_the_command_line(cms: Cms, tmp_path: Path) -> None:
    given = cms.toy.types("a", others="b", number=3, color="green", label={"a": "b"}, file=str(tmp_path), key=None)
    assert (given["others"], given["number"], given["color"], given["key"]) == (["b"], 3, "green", None)
    assert given["file"] == str(tmp_path)
    with pytest.raises(Invalid, match="color cannot be 'blue'"):
        cms.toy.types("a", color="blue")


@pytest.mark.parametrize(
    "call",
    [
        lambda cms: cms.toy(),
        lambda cms: cms.toy.show(),
        lambda cms: cms.toy.show("a", nonsense=1),
        lambda cms: cms.toy.show("a", dry_run=True),
        lambda cms: cms.toy.show("a", "b"),
    ],
)
def test_wrong_calls_are_type_errors(cms: Cms, call: Any) -> None:
    with pytest.raises(TypeError):
        call(cms)


def test_unknown_words_are_attribute_errors_with_a_hint(cms: Cms) -> None:
    with pytest.raises(AttributeError, match="did you mean: cms toy list"):
        _ = cms.toy.lsit
    with pytest.raises(AttributeError, match="did you mean: cms toy"):
        _ = cms.tyo
    assert not hasattr(cms, "web")
    assert not hasattr(cms.toy, "__wrapped__")


def test_a_number_that_is_too_small_is_refused(cms: Cms) -> None:
    assert cms.toy.types("a", limit=0)["limit"] == 0
    with pytest.raises(Invalid, match="limit cannot be -5"):
        cms.toy.types("a", limit=-5)


def test_words_python_cannot_spell(cms: Cms) -> None:
    assert repr(cms.toy.import_) == "<cms toy import>"
    assert repr(cms.toy_box.open) == "<cms toy-box open>"
    assert "import_" in dir(cms.toy)
    assert "toy_box" in dir(cms)


def test_editors_see_words_texts_and_parameters(cms: Cms) -> None:
    assert {"toy", "alone"} <= set(dir(cms))
    assert {"list", "make", "sub"} <= set(dir(cms.toy))
    assert "elsewhere" not in dir(cms.toy)
    assert cms.toy.__doc__ == "Things to play with"
    assert cms.toy.make.__doc__ == "Make toys"
    signature = inspect.signature(cms.toy.make)
    assert next(iter(signature.parameters)) == "names"
    assert signature.parameters["names"].annotation == list[str]
    assert signature.parameters["dry_run"].default is False
    assert "dry_run" not in inspect.signature(cms.toy.list).parameters


def test_a_configuration_may_be_given_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("cloudmesh:\n  profile:\n    user: somebody\n")
    file.chmod(0o600)
    with Cms(config=file) as cms:
        assert cms.context.owner == "somebody"


def test_every_public_name_can_be_imported() -> None:
    for name in cloudms.__all__:
        assert getattr(cloudms, name) is not None
    assert dir(cloudms) == sorted(cloudms.__all__)
    assert set(cloudms._HOME) | {"__version__"} == set(cloudms.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = cloudms.Nonsense


def test_every_error_is_public() -> None:
    assert {cls.__name__ for cls in tree()} <= set(cloudms.__all__)


def test_type_checkers_see_what_is_there() -> None:
    text = Path(cloudms.__file__).read_text(encoding="utf-8")
    seen = text[text.index("if TYPE_CHECKING:") : text.index("_HOMES")]
    for name in cloudms._HOME:
        assert f" {name}," in seen or f" {name}\n" in seen, name


def test_importing_cloudms_imports_nothing_else() -> None:
    code = "import sys, typing; before = set(sys.modules); import cloudms; print(*sorted(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["cloudms"]
