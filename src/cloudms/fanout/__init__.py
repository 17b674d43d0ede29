"""Fan-out: one action on many hosts over SSH, one kept connection per host, one record per host always.

`host` (where) and `action` (what) go into a `pool`, which gives back a `record` for each host whatever happens to it.
"""
