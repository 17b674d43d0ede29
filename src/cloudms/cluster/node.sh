# Run as root on a node, by sh, with a tar of munge.key and slurm.conf on standard input.
# Set before: node (its name in Slurm), person, uid and gid (whose jobs run here).
set -eu
umask 077
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
run=/run/cms-slurm
log=/var/log/cms-slurmd.log
mkdir -p $run /etc/cms-slurm
cd /etc/cms-slurm
rm -f munge.key slurm.conf
tar -x -f -
chmod 400 munge.key
chmod 755 $run

there() { command -v slurmd >/dev/null 2>&1 && command -v munged >/dev/null 2>&1; }
if ! there; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo 'its image has neither slurmd and munge nor apt-get: take micro-slurm' >&2
        exit 69
    fi
    export DEBIAN_FRONTEND=noninteractive
    mkdir -p /etc/slurm # the packages start no daemon that has no configuration
    apt-get -q -y -o DPkg::Lock::Timeout=300 update >&2
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends slurmd slurm-client munge >&2
    there
fi

umask 022
mkdir -p /etc/slurm /var/spool/slurmd
install -m 644 slurm.conf /etc/slurm/slurm.conf 2>/dev/null || { cp slurm.conf /etc/slurm/slurm.conf && chmod 644 /etc/slurm/slurm.conf; }
rm -f slurm.conf
# Without any cgroup slurmd does not start, unless it is told which kind it does not use.
[ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/systemd ] || echo CgroupPlugin=cgroup/v1 >/etc/slurm/cgroup.conf
# Jobs run under the number that the person has on the controller.
if ! grep -q "^[^:]*:[^:]*:$uid:" /etc/passwd; then
    grep -q "^[^:]*:[^:]*:$gid:" /etc/group || echo "$person:x:$gid:" >>/etc/group
    echo "$person:*:$uid:$gid:$person:/home/$person:/bin/sh" >>/etc/passwd
    mkdir -p "/home/$person" && chown "$uid:$gid" "/home/$person" && chmod 750 "/home/$person"
fi

mkdir -p /cluster # what jobs write here is fetched before the node goes
chmod 1777 /cluster

ended() { # of a daemon by its file: end it and wait
    [ -s "$1" ] && read -r pid <"$1" && kill "$pid" 2>/dev/null || return 0
    tries=0
    while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.2; tries=$((tries + 1)); done
}
ended $run/slurmd.pid
ended $run/munged.pid
rm -f $run/slurmd.pid $run/munge.sock
munged --force --key-file=/etc/cms-slurm/munge.key --socket=$run/munge.sock --pid-file=$run/munged.pid \
    --log-file=/var/log/cms-munged.log --seed-file=$run/munge.seed
: >$log
# -b: it has come up for this request, whenever the VM was booted.
slurmd -b -N "$node" >/dev/null 2>&1 || { tail -n 3 $log >&2; exit 70; }
tries=0
until grep -q 'slurmd started on' $log; do
    if grep -q 'initialization failed' $log || [ $tries -ge 600 ]; then
        grep 'error' $log | tail -n 1 >&2
        exit 70
    fi
    sleep 0.2
    tries=$((tries + 1))
done
