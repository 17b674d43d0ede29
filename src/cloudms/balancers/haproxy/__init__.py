"""HAProxy as a balancer: a process of its own for each group, its members in server slots set while it runs.

`driver` is the balancer; `conf` writes its file, `daemon` starts and ends the process, `link` talks to its socket,
`told` reads what it says.
"""
