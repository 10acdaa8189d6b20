// SPDX-License-Identifier: BSD-3-Clause
//
// A process that runs on several nodes: inputs are staged to their local storage, outputs
// drained from there into the task's work directory, where Nextflow looks for them.
//
//   nextflow run main.nf --env /scratch/me/env --cases '/scratch/me/cases/*'
//
// All of it is the process's script. In beforeScript and afterScript it would be worse: Nextflow
// does not look at the status of an afterScript, so a drain that failed would count as done.
// Directories to stage are given as text (val): Nextflow would link them and read all of them
// to compute a hash. Only read, not run: needs a Slurm and Nextflow 22 or later (DSL2).
params.env = '/scratch/me/env'
params.cases = '/scratch/me/cases/*'
params.local = '/tmp'

process simulate {
    label 'many_nodes'
    tag "${file(data).name}"

    input:
    val env
    val data

    output:
    path 'results'

    script:
    def name = file(data).name
    """
    each_node="srun --overlap --cpu-bind=none --ntasks-per-node=1 --ntasks=\$SLURM_NNODES"
    store=${params.local}/\$USER.\$SLURM_JOB_ID
    trap '\$each_node sh -c "chmod -R u+rwX \$store; rm -rf \$store"' EXIT
    \$each_node mkdir -m 700 "\$store" "\$store/out"
    ebt-stage '${env}' '${data}' "\$store"
    srun "\$store/env/bin/application" --input="\$store/${name}" --output="\$store/out"
    # A status alone does not prove it, and 4 says that some outputs have another name; rm
    # without -f fails where the file is not there.
    rm -f drained
    ebt-drain --done="\$PWD/drained" "\$store/out" "\$PWD/results" || :
    rm drained
    """
}

workflow {
    simulate(params.env, Channel.fromPath(params.cases, type: 'dir').map { it.toString() })
}
