#!/bin/sh
# Print what pip shall install as torch: the CPU build where a Linux machine shows no NVIDIA GPU, the plain one elsewhere.
set -eu
version=$1
if [ -n "${TORCH_REQUIREMENT:-}" ]; then
  echo "$TORCH_REQUIREMENT"
elif [ "$(uname -s)" = Linux ] && ! nvidia-smi -L >/dev/null 2>&1; then
  echo "torch==$version+cpu"
else
  echo "torch==$version"
fi
