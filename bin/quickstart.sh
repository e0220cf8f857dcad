#!/usr/bin/env bash
# The whole study on a small scale, on data that ships with the dependencies:
#   bash bin/quickstart.sh [FOLDER]
#
# Makes .venv, installs, writes demo data in the raw layouts of the real sets,
# prepares them, pretrains CBR-Tiny on natural images, trains it on fundus
# photographs from three starts in four seeds, and writes
# FOLDER/study/report.html (FOLDER is demo, in this clone, if not given). What is
# finished is not done again.
set -euo pipefail
unset CDPATH  # With it, cd prints where it goes.
clone=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
case ${1:-$clone/demo} in
  -*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [[ $1 == -h || $1 == --help ]] && exit 0
    echo "quickstart.sh: unknown option $1" >&2
    exit 2
    ;;
  /*) out=${1:-$clone/demo} ;;
  *) out=$PWD/$1 ;;
esac
cd "$clone"
source bin/venv.sh
install_project ''
python=.venv/bin/python

echo "== Demo data"
$python bin/make_demo_data.py --raw_dir="$out/raw" --num_patients=900 \
  --lesion_size=3 --set=retina --set=natural
echo "== Preparing"
$python bin/prepare_data.py --dataset=image_table --name=natural \
  --manual_dir="$out/raw/natural" --data_dir="$out/data"
$python bin/prepare_data.py --dataset=retina --image_size=64 \
  --manual_dir="$out/raw/retina" --data_dir="$out/data"
$python bin/study.py --dataset=retina --data_dir="$out/data" \
  --recipe=demo_retina --image_size=32 --epochs=6 \
  --models=cbr_tiny --inits=random,transfer,mean_var \
  --pretrain_on="$out/data/natural" --pretrain_recipe=demo_natural \
  --seeds=4 --num_processes=2 --output_dir="$out/study"
