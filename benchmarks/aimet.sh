#!/usr/bin/env bash
# Mixdown beside aimet-onnx 2.42.0 on the same MobileNetV2 and images, one thread, CPU seconds as multiples of a float
# run in plain ONNX Runtime. The peer lives in an environment of its own, because it wants another torch (several GB).
#   benchmarks/aimet.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-out/aimet}
export OMP_NUM_THREADS=1 PYTHONPATH=$PWD
mkdir -p "$folder"
if [ ! -x "$folder/venv/bin/python" ]; then
  python3 -m venv "$folder/venv"
  "$folder/venv/bin/pip" install --quiet aimet-onnx==2.42.0 onnxruntime==1.32.0
fi
.venv/bin/python -m benchmarks.peer "$folder"
