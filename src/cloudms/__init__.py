"""cloudms: one way to run virtual machines on every cloud a person can reach."""

__version__ = "0.1.0"
