# SPDX-License-Identifier: BSD-3-Clause
"""Parsl apps that run on several nodes: inputs are staged to the nodes' local storage, outputs
drained from there.

Parsl chooses the nodes of each app among those of a block, so an app stages, runs and drains:
another app may get other nodes. An app that fails is tried again from the start, so its outputs
are drained only when all is well.

Needs Parsl with MPIExecutor (2024.06 or later), whose resource specification sets
PARSL_MPI_PREFIX to `srun` with the nodes of the app: num_nodes, ranks_per_node as below.
"""
import sys

import parsl
from parsl import bash_app
from parsl.config import Config
from parsl.executors import MPIExecutor
from parsl.launchers import SimpleLauncher
from parsl.providers import SlurmProvider

NODES = 4
RANKS_PER_NODE = 64


def config():
    return Config(
        retries=1,
        executors=[
            MPIExecutor(
                label="many_nodes",
                mpi_launcher="srun",
                max_workers_per_block=2,
                provider=SlurmProvider(
                    partition="regular",
                    nodes_per_block=2 * NODES,
                    walltime="01:00:00",
                    launcher=SimpleLauncher(),
                    # Where ebt-stage and ebt-drain are.
                    worker_init="export PATH=$PATH:/usr/local/bin",
                ),
            )
        ],
    )


@bash_app
def simulate(env, case, results, local="/tmp", parsl_resource_specification=None):
    # The app has some nodes of its block, so the commands must not start themselves on all of them.
    # PARSL_MPI_PREFIX starts RANKS_PER_NODE a node. Options that come later win, so one rank a
    # node is said after it.
    return f"""
set -eu
each_node="$PARSL_MPI_PREFIX --overlap --cpu-bind=none --mpi=pmi2 --kill-on-bad-exit \
--ntasks-per-node=1 --ntasks=$PARSL_NUM_NODES"
store={local}/$USER.$SLURM_JOB_ID.$$
trap '$each_node sh -c "chmod -R u+rwX $store; rm -rf $store"' EXIT
$each_node mkdir -m 700 "$store" "$store/out"
$each_node ebt-stage '{env}' '{case}' "$store"
$PARSL_MPI_PREFIX "$store/env/bin/application" --input="$store/$(basename '{case}')" \
--output="$store/out"
# A status alone does not prove it, and 4 says that some outputs have another name; rm without -f
# fails where the file is not there.
rm -f '{results}'.done.$$
$each_node ebt-drain --done='{results}'.done.$$ "$store/out" '{results}' || :
rm '{results}'.done.$$
"""


if __name__ == "__main__":
    parsl.load(config())
    spec = {
        "num_nodes": NODES,
        "ranks_per_node": RANKS_PER_NODE,
        "num_ranks": NODES * RANKS_PER_NODE,
    }
    running = [
        simulate("/scratch/me/env", case, case + ".results", parsl_resource_specification=spec)
        for case in sys.argv[1:]
    ]
    for app in running:
        app.result()
