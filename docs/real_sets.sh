#!/usr/bin/env bash
# The studies of public sets in docs/studies.md, as they were made:
#   bash docs/real_sets.sh RAW OUT
#
# RAW holds cifar10, pneumoniamnist and nih_pneumonia as docs/studies.md says
# ("The study of real images"), and efficientnet_lite0 with ImageNet's weights
# and my_nets.py, whose function builds that network in Keras.
set -euo pipefail
raw=$(realpath "$1") out=$(realpath -m "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=.venv/bin/python
export PYTHONPATH=$raw/efficientnet_lite0${PYTHONPATH:+:$PYTHONPATH}

# CIFAR-10, from which CBR-Tiny starts, and the x-rays of children, of which
# MedMNIST has three in two splits.
mkdir -p "$out/cifar10"
tar -xJf "$raw/cifar10/cifar10.tar.xz" -C "$out/cifar10"
prepare() { $python bin/prepare_data.py --data_dir="$out/data" "$@"; }
prepare --name=cifar10 --data="$out/cifar10/labels.csv" \
  --image_root="$out/cifar10/images" --split_column=split
prepare --name=pneumoniamnist --on_bad=skip \
  --data="$raw/pneumoniamnist/pneumoniamnist.npz"

# Out as Parquet and in again: the same pictures, and the same fingerprint.
$python bin/export_data.py --data_dir="$out/data" --dataset=cifar10 \
  --output_dir="$out/cifar10_parquet" --overwrite \
  --citation='Krizhevsky, Learning Multiple Layers of Features from Tiny Images'
prepare --name=cifar10_again --data="$out/cifar10_parquet" \
  --patient_column=patient_id

# A thousand x-rays of the NIH: is a network with ImageNet's weights worth it?
$python bin/study.py --output_dir="$out/nih" \
  --table="$raw/nih_pneumonia/labels.csv" --images="$raw/nih_pneumonia/images" \
  --label_columns=finding --patient_column=patient --image_size=64 \
  --models=cbr_tiny,my_nets:efficientnet_lite0 --inits=random,transfer \
  --pretrained=my_nets:efficientnet_lite0=$raw/efficientnet_lite0/efficientnet_lite0.weights.h5 \
  --pretrained_input=inception --normalization=inception \
  --pretrain_on="$out/data/cifar10" \
  --pretrain_recipe=real_cifar10 --num_processes=2 --time_limit=30m

# X-rays of children: how many of them make pretraining superfluous?
$python bin/study.py --output_dir="$out/pneumoniamnist" \
  --dataset=pneumoniamnist --data_dir="$out/data" --recipe=image_table \
  --image_size=32 --epochs=10 --models=cbr_tiny --inits=random,transfer \
  --pretrain_on="$out/data/cifar10" --pretrain_recipe=real_cifar10 \
  --subsets=75,150,300,600,1200 --seeds=4 --num_processes=2
