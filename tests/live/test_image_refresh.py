"""Lists of thousands of images over real sockets: whole, pruned, gone on with, and never more than asked for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudms.clock import ManualClock
from cloudms.clouds.base import ImageQuery
from cloudms.context import Context
from cloudms.engine import images as engine
from cloudms.errors import CloudmsError, NotReady
from tests.aws.replay import Replay, Server, images

pytestmark = [pytest.mark.live, pytest.mark.services]

ALL = ImageQuery()
COUNT = 4000
CONFIG = """\
cloudmesh:
  default: {{cloud: aws}}
  cloud:
    aws:
      cm: {{kind: aws, active: true}}
      default: {{location: us-east-1}}
      options: {{endpoint: "{url}"}}
      credentials: {{EC2_ACCESS_ID: AKIDEXAMPLE, EC2_SECRET_KEY: example}}
"""


@pytest.fixture
def server() -> Iterator[Server]:
    """Serve images of a skewed calendar."""
    with Server(Replay(images(COUNT, "skewed"))) as serving:
        yield serving


@pytest.fixture
def home(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home whose one cloud is the server."""
    (tmp_path / "cloudmesh.yaml").write_text(CONFIG.format(url=server.url))
    (tmp_path / "cloudmesh.yaml").chmod(0o600)
    monkeypatch.setenv("CLOUDMESH_CONFIG_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def ctx(home: Path) -> Iterator[Context]:
    """Return a context whose pauses cost no time."""
    context = Context(clock=ManualClock(1795000000.0))
    yield context
    context.close()


def refresh(ctx: Context, query: ImageQuery | None = ALL) -> engine.Tally:
    """Refresh, and return what was found."""
    tally = engine.Tally()
    for _ in engine.walk(ctx, ctx.cloud("aws"), query, tally):
        pass
    return tally


def known(ctx: Context) -> set[str]:
    """Return the ids in the catalog."""
    return {str(row.document["id"]) for row in ctx.catalog.find("image")}


def there(server: Server) -> set[str]:
    """Return the ids on the server."""
    return {row.id for row in server.replay.images}


def test_every_image_arrives_as_it_is(ctx: Context, server: Server) -> None:
    tally = refresh(ctx)
    assert known(ctx) == there(server)
    assert (tally.seen, tally.changed, tally.gone) == (COUNT, COUNT, 0)
    row = next(row for row in server.replay.images if row.name.startswith("debian-12"))
    stored = ctx.catalog.get("image", f"aws/{row.id}")
    assert stored is not None
    found = stored.document
    assert (found["name"], found["arch"], found["owner"]) == (row.name, row.arch, row.owner)
    assert (found["os"], found["login"], found["size"]) == ("debian 12", "admin", 8 << 30)
    assert (found["region"], found["public"], found["raw"]["ImageId"]) == ("us-east-1", True, row.id)
    assert engine.incomplete(ctx, ["aws"]) == {}


def test_what_is_gone_is_forgotten_and_only_changes_are_written(ctx: Context, server: Server) -> None:
    refresh(ctx)
    rows = server.replay.images
    server.replay.set_images([rows[0]._replace(text="another"), *rows[1:-7]])
    tally = refresh(ctx)
    assert known(ctx) == there(server)
    assert (tally.changed, tally.gone) == (1, 7)


def test_a_query_forgets_what_it_saw_and_nothing_else(ctx: Context, server: Server) -> None:
    refresh(ctx)
    mine = ImageQuery(owners=("debian",))
    assert refresh(ctx, mine).changed == 0
    gone = {row.id for row in server.replay.images if row.name.startswith("debian-12")}
    kept = there(server) - gone
    server.replay.set_images([row for row in server.replay.images if row.id in kept][5:])
    assert refresh(ctx, mine).gone == len(gone)
    assert known(ctx) == kept


def test_a_page_that_fails_for_good_is_named_and_the_next_refresh_goes_on(ctx: Context, server: Server) -> None:
    refresh(ctx)
    rows = server.replay.images
    server.replay.set_images(rows[9:])
    server.replay.faults = {"%3A07.%2A": "broken"}
    with pytest.raises(NotReady):
        refresh(ctx)
    assert known(ctx) == {row.id for row in rows}, "an incomplete list must not prune"
    missing = engine.incomplete(ctx, ["aws"])["aws"]
    assert missing.details["parts"] == 1
    server.replay.faults, server.replay.requests = {}, 0
    tally = refresh(ctx)
    assert tally.continued
    assert server.replay.requests < 5
    assert known(ctx) == there(server)
    assert engine.incomplete(ctx, ["aws"]) == {}


def test_a_refresh_that_broke_off_long_ago_begins_anew(ctx: Context, server: Server) -> None:
    server.replay.faults = {"%3A07.%2A": "broken"}
    with pytest.raises(NotReady):
        refresh(ctx)
    server.replay.faults = {}
    ctx.clock.sleep(2 * 86400)
    assert not refresh(ctx).continued
    assert known(ctx) == there(server)


def test_the_usual_list_is_trusted_for_an_hour(ctx: Context, server: Server, home: Path) -> None:
    refresh(ctx, ImageQuery(owners=("debian",)))
    assert engine.trusted(ctx, ["aws"]) == [], "another question says nothing about the usual list"
    refresh(ctx, None)
    assert engine.trusted(ctx, ["aws"]) == ["aws"]
    ctx.clock.sleep(3601)
    assert engine.trusted(ctx, ["aws"]) == []


def test_a_list_that_is_no_longer_the_usual_one_is_not_waited_for(ctx: Context, home: Path) -> None:
    refresh(ctx, None)
    ctx.clock.sleep(3601)
    path = home / "cloudmesh.yaml"
    path.write_text(path.read_text().replace("options: {", "options: {owners: debian, "))
    other = Context(clock=ctx.clock)
    refresh(other, None)
    assert engine.trusted(other, ["aws"]) == ["aws"]
    other.close()


@pytest.mark.parametrize("fault", ["throttle", "broken", "cut", "close", "html"])
def test_a_page_that_fails_now_and_then_is_asked_for_again(ctx: Context, server: Server, fault: str) -> None:
    server.replay.faults = {str(number): fault for number in (1, 4, 5, 6, 11)}
    assert refresh(ctx).seen == COUNT
    assert known(ctx) == there(server)


def test_a_right_that_is_missing_is_said_once(ctx: Context, server: Server) -> None:
    server.replay.faults = {"Action": "denied"}
    with pytest.raises(CloudmsError, match="not authorized"):
        refresh(ctx)
    assert server.replay.requests < 20


def test_no_more_walkers_than_the_setting_says(ctx: Context, server: Server, home: Path) -> None:
    text = (home / "cloudmesh.yaml").read_text().replace("options: {", "options: {walkers: 3, ")
    (home / "cloudmesh.yaml").write_text(text)
    server.replay.sleep = 0.02
    refresh(ctx)
    assert 1 <= server.replay.busiest <= 3


def cms(*words: str) -> subprocess.CompletedProcess[str]:
    """Run cms."""
    command = [str(Path(sys.executable).with_name("cms")), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_command_shows_rows_and_says_what_it_did(home: Path, server: Server) -> None:
    done = cms("aws", "image", "refresh", "--limit", "3", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 3
    assert "images" in done.stderr
    listed = cms("aws", "image", "list", "--limit", "0", "-o", "json")
    assert {row["owner"] for row in json.loads(listed.stdout)} == {"099720109477", "136693071363", "137112412989"}
    every = cms("aws", "image", "refresh", "--all", "-o", "name")
    assert len(every.stdout.splitlines()) == COUNT
    found = cms("image", "search", "22.04", "ARM64", "ubuntu", "--limit", "5", "-o", "json")
    assert len(json.loads(found.stdout)) == 5
    assert all("jammy" in row["name"] and row["arch"] == "arm64" for row in json.loads(found.stdout))


def test_killed_at_any_moment_it_goes_on(home: Path, server: Server) -> None:
    server.replay.sleep = 0.3
    (home / "cloudmesh.yaml").write_text(
        (home / "cloudmesh.yaml").read_text().replace("options: {", "options: {walkers: 2, ")
    )
    command = [str(Path(sys.executable).with_name("cms")), "aws", "image", "refresh", "--all", "-o", "name"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        for _ in range(COUNT // 2):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    told = cms("image", "list", "--cached", "-o", "json")
    assert told.returncode == 12
    assert "incomplete" in told.stderr
    server.replay.requests, server.replay.sleep = 0, 0.0
    done = cms("aws", "image", "refresh", "--all", "--limit", "1")
    assert "going on where it broke off" in done.stderr, done.stderr
    assert server.replay.requests < 14
    count = cms("image", "list", "--cached", "--limit", "0", "-o", "name")
    assert len(count.stdout.splitlines()) == COUNT
    assert count.returncode == 0, count.stderr
