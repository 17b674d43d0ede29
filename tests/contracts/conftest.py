"""Runs each case of the contract of clouds on every subject that has the roles it needs, and keeps how it ended."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest
from cloud_subjects import SUBJECTS, Bench, Subject
from tests.matrix import FAILED, PASSED, REFUSED, SKIPPED, Matrix

from cloudms.clouds.base import Cloud, Role, all_roles
from cloudms.errors import Unsupported

MATRIX = pytest.StashKey[Matrix]()
LAST = "test_cloud_matrix.py"
"""The file of the case that looks at what all others have shown."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known that say on which clouds a case runs, and begin a matrix of roles."""
    config.addinivalue_line("markers", "needs(*roles): run the case on the clouds that have these roles")
    config.addinivalue_line("markers", "calls(table): run the case once for every call in the table that a cloud has")
    config.stash[MATRIX] = Matrix()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Know which files were asked for, before anything is left out by mark or name."""
    item.config.stash[MATRIX].files.add(item.path.name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the matrix be looked at when it is complete, and not when a part of the contract was asked for by name."""
    items.sort(key=lambda item: item.path.name == LAST)
    matrix, files = config.stash[MATRIX], {file.name for file in Path(__file__).parent.glob("test_cloud*.py")}
    matrix.partial = bool(files - matrix.files or "::" in " ".join(config.args))


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Judge no role of which a case was left out."""
    for item in items:
        item.config.stash[MATRIX].cut |= {(kind, role.name) for kind, role, _lacks in shown_by(item)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how a case ended that has something to do with a role."""
    report = yield
    if report.when == "call" or not report.passed:
        refused = call.excinfo is not None and call.excinfo.errisinstance(Unsupported)
        end = PASSED if report.passed else SKIPPED if report.skipped else REFUSED if refused else FAILED
        for kind, role, lacks in shown_by(item):
            item.config.stash[MATRIX].note(kind, role, end, lacks=lacks)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what was seen of each role on each cloud, once all of it was."""
    if config.stash[MATRIX].judged:
        terminalreporter.section("cases that passed, by role and cloud")
        for line in config.stash[MATRIX].table():
            terminalreporter.line(line)


def shown_by(item: pytest.Item) -> Iterator[tuple[str, type[Role], bool]]:
    """Yield kind and role of what a case shows, and whether it shows that the role is missing."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    subject = params.get("bench", params.get("subject"))
    if subject is None:
        return
    if "lacked" in params:
        yield subject.kind, params["lacked"], True
    roles = {role for mark in item.iter_markers("needs") for role in mark.args}
    roles |= {role for role in all_roles() if params.get("call") in vars(role)}
    for role in roles:
        yield subject.kind, role, False


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a case every subject that has what it needs, and every call of its table that the subject has."""
    if "lacked" in metafunc.fixturenames:
        lacks = [(subject, role) for subject in SUBJECTS for role in all_roles() if not subject.has(role)]
        params = [_param(subject, role.name.replace(" ", "-"), value=role) for subject, role in lacks]
        metafunc.parametrize(("bench", "lacked"), params, indirect=["bench"], scope="session")
        return
    table = next((mark.args[0] for mark in metafunc.definition.iter_markers("calls")), None)
    if table is not None:
        pairs = [(subject, call) for subject in SUBJECTS for call in table if hasattr(subject.cls, call)]
        params = [_param(subject, call, value=call) for subject, call in pairs]
        metafunc.parametrize(("bench", "call"), params, indirect=["bench"], scope="session")
        return
    for fixture in ("bench", "subject"):
        if fixture in metafunc.fixturenames:
            roles = [role for mark in metafunc.definition.iter_markers("needs") for role in mark.args]
            chosen = [subject for subject in SUBJECTS if subject.has(*roles)]
            assert chosen, f"no cloud has {roles}"
            metafunc.parametrize(fixture, [_param(each) for each in chosen], indirect=True, scope="session")
            return


def _param(subject: Subject, name: str = "", value: object = None) -> object:
    marks = [pytest.mark.live] * subject.live + [pytest.mark.services] * subject.services
    values = (subject, value) if name else (subject,)
    return pytest.param(*values, id="-".join(filter(None, (subject.label or subject.kind, name))), marks=marks)


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> Subject:
    """Return one cloud under test."""
    found: Subject = request.param
    return found


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Return one cloud under test with its connection and its shared VM."""
    chosen: Subject = request.param
    reason = chosen.missing()
    if reason:
        request.config.stash[MATRIX].absent[chosen.kind] = reason
        pytest.skip(reason)
    made = Bench(chosen, tmp_path_factory.mktemp(chosen.label or chosen.kind))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def home_of_the_bench(request: pytest.FixtureRequest, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the cases that share a bench share its home, too: images stand there."""
    if "bench" in request.fixturenames:
        monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(request.getfixturevalue("bench").home))


@pytest.fixture
def matrix(request: pytest.FixtureRequest) -> Matrix:
    """Return what the cases so far have shown of roles."""
    return request.config.stash[MATRIX]


@pytest.fixture
def cloud(bench: Bench) -> Cloud:
    """Return the first connection of the bench."""
    return bench.cloud
