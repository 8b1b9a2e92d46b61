#!/usr/bin/env bash
# The tests of tests/cluster on a Slurm cluster of one node, which is started here and stopped again.
# Where no cluster can be had, the tests that need one skip and say so.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap '"$here/slurm.sh" stop "$folder"; sleep 2; rm -rf "$folder"' EXIT
if "$here/slurm.sh" start "$folder"; then
    export SLURM_CONF=$folder/slurm.conf
fi
cd "$here/../.."
python -m pytest -q "$here" "$@"
