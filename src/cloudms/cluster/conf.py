"""Slurm's files as text: the configuration of controller and nodes, the hooks that boot and delete nodes.

Settings are those of slurm.conf(5) in Slurm 22.05 (Debian 12); newer ones know all of them. The nodes' file differs
from the controller's in where the controller is and where its own files are, so the check that both are alike is off.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cloudms.model import Cluster
from cloudms.record import Record

SHARED = "/cluster"
"""The folder on every node whose files outlive it."""
NODE_SOCKET = "/run/cms-slurm/munge.sock"
GATEWAY = "10.0.2.2"
"""Where a guest behind QEMU's user network finds this machine's loopback address."""
CREDENTIAL = 30
"""Seconds a job's credential lives, and Slurm waits before it starts one again whose node was lost."""
_LARGEST_ARRAY = 100_001
_SHARE = 0.8
"""Share of a flavor's memory that jobs may ask for: the kernel has taken some, and slurmd needs its own."""
_SETTINGS = """\
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SlurmctldParameters=idle_on_node_suspend
DebugFlags=NO_CONF_HASH
PrivateData=cloud
ReturnToService=2
MessageTimeout=60
SlurmdTimeout=120
BatchStartTimeout=120
MinJobAge=3600
MaxArraySize={array}
MaxJobCount={array}
EnforcePartLimits=ALL
SchedulerParameters=max_script_size=67108864
TreeWidth=65533
"""


class Place(Record):
    """Where things are on the controller's machine: `host` its short name, `uid` who runs the controller."""

    folder: Path
    host: str
    uid: int

    @property
    def config(self) -> Path:
        """Return the controller's configuration."""
        return self.folder / "slurm.conf"

    @property
    def key(self) -> Path:
        """Return munge's key: whoever has it is trusted by controller and nodes."""
        return self.folder / "munge.key"

    @property
    def socket(self) -> Path:
        """Return the socket of the controller's munged."""
        return self.folder / "run" / "munge.sock"

    def pid(self, daemon: str) -> Path:
        """Return the file with the process id of `munged` or `slurmctld`."""
        return self.folder / "run" / f"{daemon}.pid"

    def log(self, name: str) -> Path:
        """Return a log of a daemon or hook."""
        return self.folder / "log" / f"{name}.log"


def controller(cluster: Cluster, place: Place) -> str:
    """Return the controller's slurm.conf."""
    own = {
        "SlurmctldPidFile": place.pid("slurmctld"),
        "SlurmctldLogFile": place.log("slurmctld"),
        "StateSaveLocation": place.folder / "state",
        "JobCompType": "jobcomp/filetxt",
        "JobCompLoc": place.log("jobs"),
        "ResumeProgram": place.folder / "resume",
        "ResumeFailProgram": place.folder / "suspend",
        "SuspendProgram": place.folder / "suspend",
        "ResumeTimeout": f"{cluster.boot_timeout:.0f}",
        "SuspendTimeout": 30,
        "SuspendTime": f"{cluster.idle:.0f}",
        "JobSubmitPlugins": "lua",
        "ResumeRate": 0,
        "SuspendRate": 0,
    }
    lines = [f"{key}={value}" for key, value in own.items()]
    listen = "0.0.0.0" if cluster.address else "127.0.0.1"  # noqa: S104 (nodes elsewhere have to reach it)
    return _common(cluster, place, listen, str(place.socket)) + "\n".join([*lines, *_nodes(cluster)]) + "\n"


def node(cluster: Cluster, place: Place, address: str) -> str:
    """Return the slurm.conf of a node that reaches the controller at `address`."""
    own = {
        "SlurmdSpoolDir": "/var/spool/slurmd",
        "SlurmdPidFile": "/run/cms-slurm/slurmd.pid",
        "SlurmdLogFile": "/var/log/cms-slurmd.log",
    }
    lines = [f"{key}={value}" for key, value in own.items()]
    return _common(cluster, place, address, NODE_SOCKET) + "\n".join([*lines, *_nodes(cluster)]) + "\n"


def _common(cluster: Cluster, place: Place, address: str, socket: str) -> str:
    begin = {
        "ClusterName": cluster.name,
        "SlurmctldHost": f"{place.host}({address})" if address != "0.0.0.0" else place.host,  # noqa: S104 (compared)
        "SlurmctldPort": cluster.port,
        "SlurmdPort": cluster.node_port,
        "SlurmUser": place.uid,
        "SlurmdUser": 0,
        "AuthInfo": f"socket={socket},cred_expire={CREDENTIAL}",
    }
    begin |= {} if cluster.address else {"CommunicationParameters": "NoCtldInAddrAny"}
    return "".join(f"{key}={value}\n" for key, value in begin.items()) + _SETTINGS.format(array=_LARGEST_ARRAY)


def _nodes(cluster: Cluster) -> Iterator[str]:
    for weight, pool in enumerate(cluster.pools, 1):
        yield (
            f"NodeName={cluster.name}-[{pool['first']}-{pool['last']}] CPUs={pool['cpus']} "
            f"RealMemory={int(pool['memory_mib'] * _SHARE)} Weight={weight} Feature={pool['cloud']} State=CLOUD"
        )
    most = " MaxNodes=1" if apart(cluster) else ""
    yield f"PartitionName=vms Nodes=ALL Default=YES State=UP MaxTime=INFINITE{most}"


def apart(cluster: Cluster) -> bool:
    """Whether nodes do not see one another, so that a step has one node at most."""
    return any(not pool["together"] for pool in cluster.pools)


def pool_of(cluster: Cluster, name: str) -> Mapping[str, object] | None:
    """Return the pool that a node's name belongs to, or None."""
    head, _, number = name.rpartition("-")
    if head != cluster.name or not number.isdecimal():
        return None
    return next((pool for pool in cluster.pools if pool["first"] <= int(number) <= pool["last"]), None)


REASON = "the nodes of this cluster do not see one another: a job has one node, use an array of jobs"


def submit(cluster: Cluster) -> str:
    """Return the script that Slurm asks about every job that is submitted."""
    return _SUBMIT.replace("APART", "true" if apart(cluster) else "false")


_SUBMIT = f"""\
-- Nodes have no folder of the person's: what jobs write beside themselves goes where it is fetched from.
-- What spans nodes is refused where they do not see one another.
local shared = "{SHARED}"

local function below(path, folder)
    return path:sub(1, #folder) == folder
end

local function kept(path, folder)
    if not below(path, folder) or below(path, shared) or below(path, "/tmp/") or below(path, "/dev/") then
        return path
    end
    return shared .. "/" .. path:sub(#folder + 1)
end

function slurm_job_submit(job, partitions, uid)
    local folder = (job.work_dir or "") .. "/"
    folder = folder == "//" and "/" or folder
    if not below(folder, shared .. "/") and not below(folder, "/tmp/") then
        job.work_dir = shared
        if job.std_out ~= nil then job.std_out = kept(job.std_out, folder) end
        if job.std_err ~= nil then job.std_err = kept(job.std_err, folder) end
    end
    if APART and job.min_nodes ~= nil and job.min_nodes ~= slurm.NO_VAL and job.min_nodes > 1 then
        slurm.log_user("{REASON}")
        return slurm.ERROR
    end
    return slurm.SUCCESS
end

function slurm_job_modify(job, record, partitions, uid)
    return slurm.SUCCESS
end

return slurm.SUCCESS
"""


def hook(word: str, cluster: str, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> str:
    """Return the script that Slurm calls with nodes: it lets `cms` do the work in a session of its own and returns.

    So neither Slurm's limit for hooks nor the end of the controller breaks a boot in the middle. Slurm gives hooks
    hardly an environment, and no /usr/sbin in PATH.
    """
    lines = [f"export {key}={shlex.quote(value)}" for key, value in sorted(environment.items())]
    command = shlex.join([*argv, "cluster", word, cluster])
    return "\n".join([
        "#!/bin/sh", f"# Slurm calls this to {word} nodes.", *lines, "cd / || exit 1",
        f'echo "$(date +%FT%T) {word} $1" >>{shlex.quote(str(log))}',
        f'setsid {command} "$1" --yes >>{shlex.quote(str(log))} 2>&1 </dev/null &', "",
    ])  # fmt: skip
