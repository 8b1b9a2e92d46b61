#!/usr/bin/env bash
# The tests of tests/cluster on a Slurm cluster of two nodes, which is started here and stopped again. Options of pytest
# may follow. Where no cluster can be had, the tests that need one skip and say so. Whatever hangs is ended after a
# quarter of an hour.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap '"$here/slurm.sh" stop "$folder"; sleep 2; rm -rf "$folder"' EXIT
if "$here/slurm.sh" start "$folder"; then
    export SLURM_CONF=$folder/slurm.conf
fi
cd "$here/../.."
timeout --signal=INT --kill-after=30 900 python -m pytest -q "$here" "$@"
