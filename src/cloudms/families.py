"""The families and their built-in members: a word, and the class that is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping

FAMILIES: Mapping[str, Mapping[str, str]] = {
    "cloudms.clouds": {
        "libvirt": "cloudms.clouds.libvirt.driver:LibvirtCloud",
        "fake": "cloudms.clouds.fake:FakeCloud",
        "aws": "cloudms.clouds.aws.driver:AwsCloud",
        "openstack": "cloudms.clouds.openstack.driver:OpenStackCloud",
    },
    "cloudms.catalogs": {
        "sqlite": "cloudms.catalog.sqlite:SqliteCatalog",
        "memory": "cloudms.catalog.memory:MemoryCatalog",
    },
    "cloudms.formats": {
        "table": "cloudms.doors.formats:table",
        "json": "cloudms.doors.formats:as_json",
        "yaml": "cloudms.doors.formats:as_yaml",
        "csv": "cloudms.doors.formats:as_csv",
        "name": "cloudms.doors.formats:names",
    },
    "cloudms.engines": {
        "ssh": "cloudms.jobs.ssh_engine:SshEngine",
        "slurm": "cloudms.jobs.slurm.engine:SlurmEngine",
    },
    "cloudms.policies": {
        "threshold": "cloudms.scaling.policies.threshold:Threshold",
        "target": "cloudms.scaling.policies.target:Target",
        "steps": "cloudms.scaling.policies.steps:Steps",
        "schedule": "cloudms.scaling.policies.schedule:Schedule",
        "queue": "cloudms.scaling.policies.queue:Queue",
        "predictive": "cloudms.scaling.policies.predictive:Predictive",
    },
    "cloudms.sources": {
        "cloud": "cloudms.scaling.sources.cloud:CloudSource",
        "ssh": "cloudms.scaling.sources.ssh:SshSource",
        "balancer": "cloudms.scaling.sources.balancer:BalancerSource",
        "experiment": "cloudms.scaling.sources.experiment:ExperimentSource",
        "command": "cloudms.scaling.sources.command:CommandSource",
    },
    "cloudms.balancers": {
        "haproxy": "cloudms.balancers.haproxy.driver:HaproxyBalancer",
        "fake": "cloudms.balancers.fake:FakeBalancer",
    },
    "cloudms.doors": {
        "rest": "cloudms.doors.rest.service:Service",
    },
    "cloudms.verbs": {},
}
"""The built-in members by group; the built-in verbs are the modules of `cloudms.verbs`."""
