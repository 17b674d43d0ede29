"""A real OpenStack on this machine: its services from PyPI, MariaDB, RabbitMQ and memcached from the distribution.

Real are the interfaces, rights, quotas, schedulers, databases and messages. No guest runs, no packet is moved and no
block is written: three small drivers in `inside/` answer in place of hypervisor, network agents and disk array.

    python -m tests.live.openstack up [--two]      starts what does not run yet, the second region, too
    python -m tests.live.openstack down [--wipe]   ends it, and forgets all that was made
    python -m tests.live.openstack status

It stands in `cloudms-openstack` of the user's cache folder (or in LAB_DIR), answers from port 21400 on (LAB_PORT), and
only on loopback. Tests take `lab.borrowed()`.
"""
