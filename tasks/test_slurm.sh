#!/usr/bin/env bash
# A private Slurm cluster on this machine, for tests: munge, a controller and a few nodes, all in one folder.
#
#   tasks/test_slurm.sh start FOLDER [NODES]   prints the path for SLURM_CONF
#   tasks/test_slurm.sh stop FOLDER
#   tasks/test_slurm.sh install                installs Debian's slurm-wlm if it is available; never fails
#
# Needs root.
set -euo pipefail
PATH=$PATH:/usr/sbin
folder=$(realpath -m "${2:-.}") nodes=${3:-3}

install() {
  if command -v slurmctld > /dev/null; then return; fi
  export DEBIAN_FRONTEND=noninteractive
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "test_slurm: no Slurm here, and only root with apt-get can install it; its tests are skipped" >&2
  elif ! { apt_get install || { apt_get update && apt_get install; }; }; then
    echo "test_slurm: slurm-wlm could not be installed; its tests are skipped" >&2
  fi
}

apt_get() {
  local package=()
  if [ "$1" = install ]; then package=(slurm-wlm); fi
  timeout 300 apt-get --quiet=2 --yes --no-install-recommends "$1" "${package[@]}" > /dev/null
}

stop() {
  for file in "$folder"/n*.pid "$folder/slurmctld.pid" "$folder/munged.pid"; do
    if [ -s "$file" ]; then kill "$(cat "$file")" 2> /dev/null || true; fi
  done
  if [ -s "$folder/socket_folder" ]; then rm -rf "$(cat "$folder/socket_folder")"; fi
}

free_ports() {
  python3 -c "import socket
sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range($1)]
print(*(one.getsockname()[1] for one in sockets))"
}

configuration() {
  local host ports
  host=$(hostname -s)
  read -r -a ports <<< "$(free_ports $((nodes + 1)))"
  cat << END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
AuthType=auth/munge
AuthInfo=socket=$1
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/%n.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdTimeout=10
GresTypes=gpu
END
  for ((node = 1; node <= nodes; node++)); do
    echo "NodeName=n$node NodeAddr=127.0.0.1 NodeHostname=$host Port=${ports[node]} CPUs=2 Gres=gpu:2 State=UNKNOWN"
  done
  echo "PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE State=UP"
}

start() {
  local socket
  mkdir -p "$folder"/{state,spool,log}
  (umask 077 && head -c 128 /dev/urandom > "$folder/munge.key")
  # The path of a socket must be short; the folder's may be too long.
  socket=$(mktemp -d /tmp/munge.XXXXXX)
  chmod 755 "$socket"
  echo "$socket" > "$folder/socket_folder"
  munged --force --key-file="$folder/munge.key" --socket="$socket/s" --pid-file="$folder/munged.pid" \
    --log-file="$folder/log/munged.log" --seed-file="$folder/munge.seed" 2> "$folder/log/munged.out"
  configuration "$socket/s" > "$folder/slurm.conf"
  echo "Name=gpu File=/dev/null,/dev/zero" > "$folder/gres.conf" # any devices will do
  export SLURM_CONF=$folder/slurm.conf
  slurmctld -i &> "$folder/log/slurmctld.out"
  # Processes on a node find the others by name, if a private /etc/hosts can be mounted.
  { cat /etc/hosts && for ((node = 1; node <= nodes; node++)); do echo "127.0.0.1 n$node"; done; } > "$folder/hosts"
  for ((node = 1; node <= nodes; node++)); do
    # shellcheck disable=SC2016  # the inner shell expands them
    unshare --mount sh -c 'mount --bind "$0/hosts" /etc/hosts; exec slurmd -N "$1"' "$folder" "n$node" &> "$folder/log/n$node.out" ||
      slurmd -N "n$node" &> "$folder/log/n$node.out"
  done
  echo "$SLURM_CONF"
}

case $1 in
  start)
    for program in munged slurmctld slurmd sbatch; do
      command -v "$program" > /dev/null || { echo "there is no $program here: apt-get install slurm-wlm" >&2; exit 3; }
    done
    start
    ;;
  stop) stop ;;
  install) install ;;
esac
