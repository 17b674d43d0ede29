"""Scaling policies: each a pure function from what is observed to a number of members, with its settings.

A new one is a class with the members of `scaling.base.Policy` in a file of its own, and a line in `registry.FAMILIES`.
"""
