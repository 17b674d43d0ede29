"""A whole pretend cloud: every role, faults on demand, its state in one file that processes share.

It passes the contract first, serves tests and documentation (`--cloud fake`), and never reaches for anything outside of
its state file.
"""

from __future__ import annotations

from typing import Any

from cloudms.clouds.fake import faults
from cloudms.clouds.fake.account import FakeAccount
from cloudms.clouds.fake.addressing import FakeAddressing
from cloudms.clouds.fake.batches import FakeBatches
from cloudms.clouds.fake.catalogue import FakeCatalogue
from cloudms.clouds.fake.faults import KINDS, Fault
from cloudms.clouds.fake.lifecycle import FakeLifecycle
from cloudms.clouds.fake.measuring import FakeMeasuring
from cloudms.clouds.fake.secgroups import FakeSecGroups
from cloudms.clouds.fake.storage import FakeStorage
from cloudms.clouds.fake.store import Doc
from cloudms.clouds.fake.things import FakeThings

__all__ = ["FakeCloud", "Fault", "KINDS"]


class FakeCloud(
    FakeLifecycle, FakeMeasuring, FakeThings, FakeAddressing, FakeStorage, FakeSecGroups, FakeAccount, FakeBatches,
    FakeCatalogue,
):  # fmt: skip
    """The fake cloud; its settings are those of `cloudms.clouds.fake.options.Options`."""

    def add_fault(self, fault: str, call: str = "*", **more: Any) -> Fault:
        """Let `fault` strike the next call that matches `call`, in every process that uses this state.

        Parameters: `more` are the other fields of `Fault` (name, times, seconds, after, reason, error).
        Raises: ConfigError (no such fault).
        """
        with self.store.locked():
            entries = [each.to_document() for each in faults.stored(self.store)]
            added = Fault(fault=fault, call=call, id=f"added-{self.clock.now()}-{len(entries)}", **more)
            self.store.write_faults([*entries, added.to_document()])
        return added

    def clear_faults(self) -> None:
        """Forget the faults that were added and how often any fault has struck."""
        with self.store.locked():
            self.store.faults.unlink(missing_ok=True)
        with self.store.change() as world:
            world["used"] = {}

    def calls(self, call: str = "") -> list[Doc]:
        """Return the journal: `{at, call, name, args}` of every call (or only of `call`), of every process."""
        return [entry for entry in self.store.notes() if call in ("", entry["call"])]
