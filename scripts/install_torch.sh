#!/usr/bin/env bash
# Installs the locked torch into the environment whose python is $1: the CPU build unless there is an NVIDIA GPU.
set -euo pipefail
python=$1
version=$(sed -n 's/^torch==//p' constraints.txt)

if "$python" -c "import torch, sys; sys.exit(torch.__version__.split('+')[0] != '$version')" 2>/dev/null; then
    exit 0
fi
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1 || [ "$(uname -s)" = Darwin ]; then
    exec "$python" -m pip install "torch==$version"
fi
# PyPI's Linux build brings gigabytes of CUDA; the index of CPU builds has it as VERSION+cpu, which pip prefers.
exec "$python" -m pip install --retries 1 --extra-index-url https://download.pytorch.org/whl/cpu "torch==$version"
