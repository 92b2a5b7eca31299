#!/bin/bash
# A race on Slurm's machines, start to end: `sbatch deploy/slurm.sh /data/pictures`. One Ray node per machine, and the
# command of the command line on the first one; when it has ended, so has everything.
#SBATCH --job-name=thaw
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=24G
#SBATCH --time=04:00:00
# for graphics cards: #SBATCH --gpus-per-task=1
set -euo pipefail
pictures=${1:?folder or zip of pictures}

# what all machines share: the code and its environment, the home folder, the database
cd "${SLURM_SUBMIT_DIR}"
source .venv/bin/activate
: "${THAW_HOME:?a folder on the shared file system}" "${THAW_DATABASE:?postgresql+psycopg://user@machine/thaw}"
export THAW_HOME THAW_DATABASE THAW_ENGINE=ray THAW_RAY_CORES=${THAW_RAY_CORES:-1}

export RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=token
umask 077
export RAY_AUTH_TOKEN_PATH="${HOME}/.thaw-ray-${SLURM_JOB_ID}" # not in the environment of anything that is listed
python -c "import secrets; print(secrets.token_hex(32), end='')" > "${RAY_AUTH_TOKEN_PATH}"
trap 'rm -f "${RAY_AUTH_TOKEN_PATH}"' EXIT

mapfile -t machines < <(scontrol show hostnames "${SLURM_JOB_NODELIST}")
head=${machines[0]}
# the first address that others reach it at: its own name may lead to itself only
address=$(srun --nodes=1 --ntasks=1 -w "${head}" sh -c 'hostname --ip-address; hostname --all-ip-addresses' \
  | tr ' ' '\n' | awk 'NF && !/^127\.|:/ && !found {print; found = 1}')
port=$((20000 + SLURM_JOB_ID % 20000)) # two jobs on one machine do not meet
export THAW_RAY_ADDRESS=${address}:${port}

export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK} # srun does not take it from sbatch, and would bind a node to one core
node="--num-cpus=${SLURM_CPUS_PER_TASK} --object-store-memory=100000000 --block"
srun --overlap --nodes=1 --ntasks=1 -w "${head}" \
  ray start --head --node-ip-address="${address}" --port="${port}" --include-dashboard=false ${node} &
begun=$!
until ray status --address="${THAW_RAY_ADDRESS}" &> /dev/null; do
  kill -0 "${begun}" || exit 1 # it has ended, and said why
  sleep 2
done
for machine in "${machines[@]:1}"; do
  srun --overlap --nodes=1 --ntasks=1 -w "${machine}" ray start --address="${THAW_RAY_ADDRESS}" ${node} &
done

python -m core race --data "${pictures}" --scenarios frozen,last-stages,finetuned --seeds 0,1,2,3,4
