"""The engine of an experiment, by its word."""

from __future__ import annotations

from cloudms import registry
from cloudms.jobs.base import Engine
from cloudms.model import Experiment


def engine_of(experiment: Experiment) -> Engine:
    """Return the engine that runs an experiment. Raises: NotFound."""
    found: Engine = registry.load("cloudms.engines", experiment.engine)()
    return found
