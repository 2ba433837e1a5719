#!/bin/bash
# wsvad on the nodes of a Slurm job: Ray's head on the first node, a worker on each other one, one extraction over all.
# sbatch --nodes 4 slurm.sh VIDEOS FEATURES (both on storage that every node sees at the same path)
#SBATCH --job-name=wsvad
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
set -euo pipefail
export RAY_USAGE_STATS_ENABLED=0

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes 1 --ntasks 1 --nodelist "$head" hostname --ip-address | cut -d ' ' -f 1):6379
srun --nodes 1 --ntasks 1 --nodelist "$head" \
    ray start --head --node-ip-address "${address%:*}" --port 6379 --num-cpus "$SLURM_CPUS_PER_TASK" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes $((SLURM_JOB_NUM_NODES - 1)) --ntasks $((SLURM_JOB_NUM_NODES - 1)) --exclude "$head" \
        ray start --address "$address" --num-cpus "$SLURM_CPUS_PER_TASK" --block &
fi
wsvad extract "$1" --out "$2" --engine "ray://$address" --cpus-per-worker 1
