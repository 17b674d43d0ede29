"""Another flavor, and a fresh disk.

A flavor is changed while an instance is off, so one that runs is stopped and started again. What was begun stands in
the tag `cms:intent` until it has ended, so that `mend` can end what a killed run left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.clouds import notes
from cloudms.clouds.aws import describe, tags
from cloudms.clouds.aws.making import Making
from cloudms.clouds.aws.power import COMING, GOING, OFF, ON
from cloudms.clouds.base import Rebuild, Resize
from cloudms.errors import CloudmsError, Invalid, NotFound, Timeout, Unsupported
from cloudms.model import Vm, VmState
from cloudms.record import Record

_STOPS_S = 600.0
"""Seconds that a guest may take to shut down for a resize."""
_LOOK_S = 2.0
_REBUILDS_S = 3600.0
"""Seconds for which AWS is asked how a rebuild goes."""
RESIZE, REBUILD = "resize", "rebuild"
_FAILED = ("failed", "failed-detached")


class Intent(Record):
    """A change that was begun: `resize` from `old` to `new` of a VM that ran (`was_on`), or `rebuild` by a `task`.

    `at` is when it was begun, in epoch seconds.
    """

    kind: str
    old: str = ""
    new: str = ""
    was_on: bool = False
    task: str = ""
    at: int = 0

    def text(self) -> str:
        """Return it as the tag holds it."""
        if self.kind == REBUILD:
            return f"{REBUILD} {self.task} {self.at}"
        return f"{RESIZE} {self.old} {self.new} {'on' if self.was_on else 'off'}"


def intent_of(text: str) -> Intent | None:
    """Return the change that a tag tells of, or None."""
    words = text.split()
    if len(words) == 3 and words[0] == REBUILD and words[2].isdigit():
        return Intent(kind=REBUILD, task=words[1], at=int(words[2]))
    if len(words) == 4 and words[0] == RESIZE:
        return Intent(kind=RESIZE, old=words[1], new=words[2], was_on=words[3] == "on")
    return None


class Altering(Making, Resize, Rebuild):
    """Resize and rebuild."""

    grows_disk = False

    def resize_vm(self, vm: Vm, flavor: str) -> Vm:
        """Give it another instance type; a running VM is stopped for it and started again.

        When AWS refuses the type, or has no place for it, the VM goes back to the old one. Raises: NotFound (flavor),
        Invalid (another processor), NotReady, NoCapacity, Timeout (it does not shut down).
        """
        row, region = self.find(vm)
        state = self.demand(row, COMING | OFF | GOING, "resize")
        begun = intent_of(tags.of(row).intent)  # of an earlier try, which may have lost its answer half-way
        begun = begun if begun is not None and begun.kind == RESIZE else None
        now, was_on = str(row.get("InstanceType") or ""), state in COMING or bool(begun and begun.was_on)
        if now == flavor and (state in COMING or not was_on):
            return self.noun(row, region)
        self._check_fits(row, region, flavor)
        if state is VmState.SAVED:
            raise Invalid(f"vm '{vm.name}' is saved: its memory fits its flavor only", hint=f"cms vm start {vm.name}")
        old = begun.old if begun and begun.new == now else now
        wanted = Intent(kind=RESIZE, old=old, new=flavor, was_on=was_on)
        return self._resize(self.put_tags(row, region, {tags.INTENT: wanted.text()}), region, wanted)

    def _check_fits(self, row: Mapping[str, Any], region: str, flavor: str) -> None:
        """Refuse a flavor that is not there or has another processor. Raises: NotFound, Invalid."""
        kind = self.instance_type(region, flavor)
        able = (kind.get("ProcessorInfo") or {}).get("SupportedArchitectures") or ()
        arch = row.get("Architecture")
        if able and arch and arch not in able:
            raise Invalid(f"{flavor} has another processor ({', '.join(able)}) than the image ({arch})")

    def _resize(self, row: dict[str, Any], region: str, wanted: Intent) -> Vm:
        ident = str(row["InstanceId"])
        try:
            row = self._stopped(row, region)
        except CloudmsError:
            self._give_up(row, region, wanted)
            raise
        try:
            self._set_type(ident, region, wanted.new)
        except CloudmsError:
            self._back(row, region, wanted, changed=False)
            raise
        if wanted.was_on:
            try:
                self.link.call("start_instances", region, InstanceIds=[ident])
            except CloudmsError as error:
                if not (error.retryable and self._comes(ident, region)):  # only the answer may have been lost
                    self._back(row, region, wanted, changed=True)
                    raise _with(error, f"it has its old flavor {wanted.old} again") from None
        done = self.put_tags(row, region, {}, (tags.INTENT,))
        shown = self.noun({**done, "InstanceType": wanted.new}, region)
        if not wanted.was_on:
            return shown.with_(reason=f"{wanted.new} takes effect with the next start")
        return shown.with_(state=VmState.PENDING, reason=f"restarted as {wanted.new}")

    def _set_type(self, ident: str, region: str, flavor: str) -> None:
        kind = {"Value": flavor}
        self.link.call("modify_instance_attribute", region, InstanceId=ident, InstanceType=kind)

    def _back(self, row: dict[str, Any], region: str, wanted: Intent, *, changed: bool) -> None:
        """Bring a VM back to what it was before a resize. Where that fails, too, what is left to do stays as intent."""
        ident = str(row["InstanceId"])
        if changed:
            row = self._mark_back(row, region, wanted)
            self._set_type(ident, region, wanted.old)
        if wanted.was_on:
            try:
                self.link.call("start_instances", region, InstanceIds=[ident])
            except CloudmsError as error:
                raise _with(error, f"it is off, with its old flavor {wanted.old}") from None
        self.put_tags(row, region, {}, (tags.INTENT,))

    def _comes(self, ident: str, region: str) -> bool:
        """Whether an instance runs or is about to, as far as AWS says it."""
        try:
            row, _ = self.find(Vm(name=ident, id=ident, region=region))
        except CloudmsError:
            return False
        return describe.state_of(row, tags.of(row))[0] in COMING

    def _give_up(self, row: dict[str, Any], region: str, wanted: Intent) -> None:
        """Note that a VM is to be as it was: no later sweep may do what has been told to have failed."""
        try:
            self._mark_back(row, region, wanted)
        except CloudmsError:
            return

    def _mark_back(self, row: dict[str, Any], region: str, wanted: Intent) -> dict[str, Any]:
        return self.put_tags(row, region, {tags.INTENT: wanted.with_(new=wanted.old).text()})

    def _stopped(self, row: dict[str, Any], region: str) -> dict[str, Any]:
        """Return an instance once it is off. Raises: Timeout, NotFound, Conflict."""
        vm = Vm(name=tags.of(row).name, id=str(row["InstanceId"]), region=region)
        end = self.clock.monotonic() + _STOPS_S
        asked = False
        while (state := self.demand(row, COMING | OFF | GOING, "resize")) not in OFF:
            if state in ON and not asked:
                self.link.call("stop_instances", region, InstanceIds=[vm.id])
                asked = True
            if self.clock.monotonic() >= end:
                raise Timeout(f"{vm.name} did not shut down within {_STOPS_S:g} s", hint=f"cms vm stop {vm.name}")
            self.clock.sleep(_LOOK_S)
            row, _ = self.find(vm)
        return row

    # -- rebuild -------------------------------------------------------------------------------------------------

    def rebuild_vm(self, vm: Vm, image: str) -> Vm:
        """Give it a fresh root disk from an image, while it runs; it restarts, and name, addresses and id stay.

        Raises: Unsupported (AWS cannot for this VM), NotFound (image), NotReady (it is off), Conflict.
        """
        row, region = self.find(vm)
        mark = self.own(row, "rebuilt")
        self.demand(row, ON, "rebuild")
        found = self.image(region, image, str(row.get("InstanceType") or ""))
        reply = self.link.call(
            "create_replace_root_volume_task", region, InstanceId=row["InstanceId"], ImageId=found["ImageId"],
            DeleteReplacedRootVolume=True,
            TagSpecifications=tags.specification(["replace-root-volume-task"], {notes.TOKEN: mark.token}),
        )  # fmt: skip
        task = reply.get("ReplaceRootVolumeTask") or {}
        ident = str(task.get("ReplaceRootVolumeTaskId") or "")
        said = {
            tags.INTENT: Intent(kind=REBUILD, task=ident, at=int(self.clock.now())).text(),
            notes.LOGIN: self.login(image, found) or mark.login,
            notes.IMAGE: "" if image == found["ImageId"] else image,
        }  # fmt: skip
        given = {key: value for key, value in said.items() if value}
        row = self.put_tags(row, region, given, (notes.IMAGE,))
        done = self.noun({**row, "ImageId": found["ImageId"]}, region)
        return done.with_(state=VmState.REBUILDING, reason="it is getting a fresh disk")

    def rebuilding(self, row: Mapping[str, Any], region: str, shown: Vm) -> Vm:
        """Return a VM whose rebuild was begun in the state that the task says."""
        intent = intent_of(tags.of(row).intent)
        if intent is None or intent.kind != REBUILD or shown.state is not VmState.RUNNING:
            return shown
        if self.clock.now() - intent.at > _REBUILDS_S:
            return shown
        try:
            reply = self.link.call("describe_replace_root_volume_tasks", region, ReplaceRootVolumeTaskIds=[intent.task])
        except (NotFound, Unsupported, Invalid):
            return shown
        task: dict[str, Any] = next(iter(reply.get("ReplaceRootVolumeTasks") or ()), {})
        state = str(task.get("TaskState") or "succeeded")
        if state == "succeeded":
            return shown
        if state.startswith("fail"):
            ended = state in _FAILED
            reason = "its rebuild failed: it has its old disk" if ended else "its rebuild is taken back"
            return shown.with_(state=VmState.ERROR if ended else VmState.REBUILDING, reason=reason)
        return shown.with_(state=VmState.REBUILDING, reason="it is getting a fresh disk")

    # -- after a kill --------------------------------------------------------------------------------------------

    def get_vm(self, vm: Vm) -> Vm:
        """Return the VM with this id, or else token. Raises: NotFound."""
        row, region = self.find(vm)
        shown = self.noun(row, region)
        return self.rebuilding(row, region, shown) if tags.of(row).intent else shown

    def detached(self, vm: Vm) -> bool:
        """Whether a resize was begun and has not ended."""
        try:
            row, _region = self.find(vm)
        except NotFound:
            return False
        intent = intent_of(tags.of(row).intent)
        return intent is not None and intent.kind == RESIZE and not describe.is_gone(row)

    def mend(self, vm: Vm) -> Vm:
        """End a resize that a killed run began: the new flavor, and running again when it ran."""
        row, region = self.find(vm)
        intent = intent_of(tags.of(row).intent)
        if intent is None or intent.kind != RESIZE or describe.is_gone(row):
            return self.noun(row, region)
        if str(row.get("InstanceType")) == intent.new and describe.state_of(row, tags.of(row))[0] in COMING:
            return self.noun(self.put_tags(row, region, {}, (tags.INTENT,)), region)
        return self._resize(row, region, intent)


def _with(error: CloudmsError, more: str) -> CloudmsError:
    """Return an error that says more."""
    return type(error)(f"{error.message}; {more}", hint=error.hint, details=error.details)
