#!/usr/bin/env bash
# A study over an allocation of Slurm: a Ray cluster that lasts as long as it.
#
#   sbatch --nodes=4 --gpus-per-node=4 docs/slurm.sh --data=labels.csv \
#     --output_dir=/shared/study ...
#
# takes study.py's arguments; the clone, its .venv, the data and --output_dir are
# on storage that all nodes share. A job that ran into its time limit or was
# preempted goes on when it is submitted again: two minutes before the end, Slurm
# sends SIGTERM, and runs are saved.
#SBATCH --job-name=study
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
# Anybody who reaches the port of the head can run code: keep to a network that
# only the cluster's users reach.
head=$(scontrol show hostnames "${SLURM_JOB_NODELIST:-$(hostname)}" | head -n 1)
address="$head:${RAY_PORT:-6379}"
exec srun --kill-on-bad-exit=1 .venv/bin/ray symmetric-run \
  --address "$address" --min-nodes "${SLURM_JOB_NUM_NODES:-1}" \
  --include-dashboard=false --num-cpus="${SLURM_CPUS_ON_NODE:-1}" -- \
  .venv/bin/python bin/study.py --cluster="$address" "$@"
