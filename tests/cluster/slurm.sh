#!/usr/bin/env bash
# A Slurm cluster of two nodes on this machine, for tests/cluster: `slurm.sh start FOLDER`, `slurm.sh stop FOLDER`.
#
# The nodes are `roomy` and `full`, of one core each. FOLDER/scratch is a disk of each node's own: on `full`, which jobs
# go to first, it is a small one with no byte left, where this machine lets root mount one (else FOLDER/unmounted is
# there).
# It installs Debian's slurm-wlm and munge where they are missing, which takes root and a package index, and keeps
# everything else below FOLDER. Commands reach the cluster with SLURM_CONF=FOLDER/slurm.conf. There is no accounting, as
# on many small clusters. It ends with 77 and one line where a cluster cannot be had here.
set -euo pipefail

cannot() {
    echo "$1" >&2
    exit 77
}

start() {
    [[ $(id -u) == 0 ]] || cannot "no Slurm here: its daemons are started by root, and this is not root"
    if ! command -v slurmctld slurmd munged srun >/dev/null; then
        command -v apt-get >/dev/null || cannot "no Slurm here: slurmctld is not installed, and there is no apt-get"
        apt-get update -qq >/dev/null 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null 2>&1 ||
            cannot "no Slurm here: slurm-wlm and munge could not be installed"
    fi
    mkdir -p "$1"/{ctld,slurmd-roomy,slurmd-full,munge,log,scratch}
    chmod 0711 "$1" "$1/munge"
    if [[ ! -s $1/munge/key ]]; then
        (umask 077 && head -c 1024 /dev/urandom >"$1/munge/key")
    fi
    munged --force --key-file="$1/munge/key" --socket="$1/munge/socket" --pid-file="$1/munge/pid" \
        --log-file="$1/munge/log" --seed-file="$1/munge/seed"
    local host memory
    memory=$(awk "/MemTotal/ {print int(\$2 / 1024)}" /proc/meminfo)
    host=$(hostname -s)
    cat >"$1/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${SLURM_TEST_PORT:-16817}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A requeued job begins again when its credentials have expired.
AuthInfo=socket=$1/munge/socket,cred_expire=30
CredType=cred/munge
StateSaveLocation=$1/ctld
SlurmdSpoolDir=$1/slurmd-%n
SlurmctldPidFile=$1/ctld.pid
SlurmdPidFile=$1/slurmd-%n.pid
SlurmctldLogFile=$1/log/slurmctld
SlurmdLogFile=$1/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
MinJobAge=20
KillWait=5
InactiveLimit=0
MaxArraySize=1001
NodeName=DEFAULT CPUs=1 RealMemory=$memory State=UNKNOWN
NodeName=roomy NodeHostname=$host NodeAddr=127.0.0.1 Port=${SLURM_TEST_NODE_PORT:-16818} Weight=9
NodeName=full NodeHostname=$host NodeAddr=127.0.0.1 Port=${SLURM_TEST_OTHER_NODE_PORT:-16819} Weight=1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
CONF
    export SLURM_CONF=$1/slurm.conf
    # What follows fails with a word of its own, and leaves nothing running.
    trap 'stop "$1"' ERR
    slurmctld
    slurmd -N roomy
    # Mounted for this daemon and its jobs alone, and gone with them.
    # shellcheck disable=SC2016
    if ! unshare --mount bash -ec 'mount -t tmpfs -o size=64k tmpfs "$1/scratch"
        head -c 1M /dev/zero >"$1/scratch/filled" 2>/dev/null || true
        exec slurmd -N full' bash "$1" 2>"$1/log/mount"; then
        touch "$1/unmounted"
        slurmd -N full
    fi
    for _ in $(seq 120); do
        if [[ $(sinfo --noheader --Node --format=%T 2>/dev/null | sort | uniq -c | tr -s ' ') == " 4 idle" ]]; then
            return
        fi
        sleep 0.5
    done
    stop "$1"
    cannot "no Slurm here: its nodes did not come up in a minute, see $1/log"
}

stop() {
    # Only what was started here, by the numbers that it wrote down itself.
    for name in slurmd-roomy.pid slurmd-full.pid ctld.pid munge/pid; do
        if [[ -s $1/$name ]]; then
            kill "$(cat "$1/$name")" 2>/dev/null || true
        fi
    done
}

case ${1:-} in
    start | stop) "$1" "$(realpath -m "$2")" ;;
    *) cannot "usage: slurm.sh start|stop FOLDER" ;;
esac
