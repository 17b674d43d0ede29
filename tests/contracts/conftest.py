"""Runs each case of the contract of clouds on every subject that has the roles the case needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_subjects import SUBJECTS, Bench, Subject

from cloudms.clouds.base import Cloud


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known that says which roles a case needs."""
    config.addinivalue_line("markers", "needs(*roles): run the case on the clouds that have these roles")
    config.addinivalue_line("markers", "calls(table): run the case once for every call in the table that a cloud has")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a case every subject that has what it needs, and every call of its table that the subject has."""
    table = next((mark.args[0] for mark in metafunc.definition.iter_markers("calls")), None)
    if table is not None:
        pairs = [(subject, call) for subject in SUBJECTS for call in table if hasattr(subject.cls, call)]
        params = [_param(subject, call) for subject, call in pairs]
        metafunc.parametrize(("bench", "call"), params, indirect=["bench"], scope="session")
        return
    for fixture in ("bench", "subject"):
        if fixture in metafunc.fixturenames:
            roles = [role for mark in metafunc.definition.iter_markers("needs") for role in mark.args]
            chosen = [subject for subject in SUBJECTS if subject.has(*roles)]
            assert chosen, f"no cloud has {roles}"
            metafunc.parametrize(fixture, [_param(each) for each in chosen], indirect=True, scope="session")
            return


def _param(subject: Subject, *more: str) -> object:
    marks = [pytest.mark.live] if subject.live else []
    return pytest.param(subject, *more, id="-".join((subject.label or subject.kind, *more)), marks=marks)


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
def cloud(bench: Bench) -> Cloud:
    """Return the first connection of the bench."""
    return bench.cloud
