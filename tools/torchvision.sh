#!/bin/sh
# Install the CPU build of torchvision beside a CPU build of torch: torchvision.sh PYTHON VERSION
# nnU-Net asks for torchvision by way of timm, and its plain build cannot be imported where torch has no CUDA.
set -eu
python=$1
version=$2
case $("$python" -c 'import torch; print(torch.__version__)') in
*+cpu) ;;
*) exit 0 ;;
esac
"$python" -m pip install --quiet --disable-pip-version-check --no-deps "torchvision==$version+cpu" 2>/dev/null ||
  echo "no CPU build of torchvision $version was found: of nnU-Net, the transformers cannot be used here" >&2
