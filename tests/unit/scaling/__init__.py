"""Scaling: judgement, simulation and drawing, without time, cloud or catalog."""
