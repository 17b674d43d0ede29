"""The AWS cloud is one class of many parts, which must not take names from each other."""

from __future__ import annotations

from cloudms.clouds.aws.driver import AwsCloud

MEANT = frozenset(("supports", "delete_vm", "get_vm"))
"""Methods to which one part adds something that another does not know."""


def test_no_part_hides_a_method_of_another() -> None:
    defined: dict[str, list[type]] = {}
    for part in AwsCloud.__mro__:
        if part.__module__.startswith("cloudms.clouds.aws"):
            for name in part.__dict__:
                if not name.startswith(("__", "_abc_")):
                    defined.setdefault(name, []).append(part)
    twice = {name: [part.__name__ for part in parts] for name, parts in defined.items() if len(parts) > 1}
    assert set(twice) <= MEANT, twice


def test_every_method_of_its_roles_is_there() -> None:
    assert not AwsCloud.__abstractmethods__
    assert {role.name for role in AwsCloud.roles()} >= {
        "keys", "locations", "addresses", "volumes", "snapshots", "metrics", "prices", "quotas",
    }  # fmt: skip
