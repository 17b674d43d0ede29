"""The ancestors' calls in the words of this house: which verb each one is, and which of its parameters.

They are the methods of cloudmesh's classes `Vm` and `VmRefactor`, with their parameters in their order, and the
commands of cm4; the Python façade and the command line derive them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudms.record import Record


class Call(Record):
    """One call of the ancestors.

    `verb` are the words of ours; `parameters` theirs → ours, in their order; `also` are other words of theirs for
    parameters, which have no place in the order; `gives` the field of the result that they returned, empty for all.
    """

    verb: tuple[str, ...]
    parameters: Mapping[str, str] = {}
    also: Mapping[str, str] = {}
    gives: str = ""


_NAMES = {"vm_name": "names"}
_NAME = {"vm_name": "name"}

CALLS: Mapping[tuple[str, ...], Call] = {
    ("vm", "create"): Call(verb=("vm", "boot"), also={"vm_name": "name", "size": "flavor"}),
    ("vm", "start"): Call(verb=("vm", "start"), parameters=_NAMES),
    ("vm", "stop"): Call(verb=("vm", "stop"), parameters={**_NAMES, "deallocate": "deallocate"}),
    ("vm", "suspend"): Call(verb=("vm", "suspend"), parameters=_NAMES),
    ("vm", "resume"): Call(verb=("vm", "resume"), parameters=_NAMES),
    ("vm", "reboot"): Call(verb=("vm", "reboot"), parameters=_NAMES),
    ("vm", "destroy"): Call(verb=("vm", "delete"), parameters=_NAMES),
    ("vm", "status"): Call(verb=("vm", "status"), parameters=_NAMES),
    ("vm", "info"): Call(verb=("vm", "info"), parameters=_NAME),
    ("vm", "get_public_ips"): Call(verb=("vm", "info"), parameters=_NAME, gives="public_ips"),
    ("vm", "set_public_ip"): Call(verb=("vm", "ip", "set"), parameters={**_NAME, "public_ip": "address"}),
    ("vm", "remove_public_ip"): Call(verb=("vm", "ip", "remove"), parameters=_NAME),
    ("vm", "resize"): Call(verb=("vm", "resize"), parameters={**_NAME, "size": "flavor"}),
    ("vm", "confirm_resize"): Call(verb=("vm", "confirm"), parameters=_NAMES),
    ("vm", "revert"): Call(verb=("vm", "revert"), parameters=_NAMES),
    ("vm", "rename"): Call(verb=("vm", "rename"), parameters={**_NAME, "newname": "new_name"}),
    ("vm", "rebuild"): Call(verb=("vm", "rebuild"), parameters={**_NAME, "image": "image"}),
}

COMMANDS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("vm", "publicip"): ("vm", "ip", "list"),
    ("vm", "confirm_resize"): ("vm", "confirm"),
    ("secgroup", "group", "list"): ("secgroup", "list"),
    ("secgroup", "group", "add"): ("secgroup", "create"),
    ("secgroup", "group", "delete"): ("secgroup", "delete"),
}
"""Commands of the ancestors whose words are others here; `create`, `destroy` and `terminate` are aliases of verbs."""

NAMES_OPTION = "--vms"
"""How cm4 gave the names of VMs, which stand alone here."""


def in_our_words(
    call: Call, arguments: tuple[Any, ...], options: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a call was given with our names for its parameters. Raises: TypeError (one is given twice)."""
    placed = dict(zip(call.parameters.values(), arguments, strict=False))
    named = dict(placed)
    for word, value in options.items():
        ours = {**call.also, **call.parameters}.get(word, word)
        if ours in named:
            raise TypeError(f"multiple values for '{word}'")
        named[ours] = value
    return arguments[len(placed) :], named


def without_option(words: list[str]) -> list[str]:
    """Return words with `--vms NAMES` and `--vms=NAMES` as the names alone."""
    return [word.removeprefix(f"{NAMES_OPTION}=") for word in words if word != NAMES_OPTION]
