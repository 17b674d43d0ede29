"""A house in memory for experiments: the fake cloud, the catalog in memory, a clock that moves when told to."""

from tests.unit.engine.conftest import call, ctx

__all__ = ["call", "ctx"]
