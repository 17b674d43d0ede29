"""The configuration: ~/.cloudmesh/cloudmesh.yaml in every format the ancestors had, settings, secrets, the counter."""

from __future__ import annotations

from cloudms.config.clouds import CloudSettings
from cloudms.config.counter import Counter
from cloudms.config.finding import Finding
from cloudms.config.secret import Secret
from cloudms.config.store import Config
from cloudms.config.tree import MissingKey, Tree

__all__ = ["CloudSettings", "Config", "Counter", "Finding", "MissingKey", "Secret", "Tree"]
