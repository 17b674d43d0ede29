"""How verbs are told which VMs are meant."""

from __future__ import annotations

from typing import Annotated

from cloudms.verb import Doc, Names

VmNames = Annotated[list[str], Doc("names, ids or host lists such as web[1-3]"), Names("vm")]
OneVm = Annotated[str, Doc("name or id of the VM"), Names("vm")]
