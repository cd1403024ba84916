#!/bin/sh
# edgesr on a machine without internet: sh install.sh [FOLDER [PYTHON]]   (default: ~/edgesr, /usr/bin/python3)
# May be run again at any time. TensorRT, CUDA and OpenCV are the system's; python3-venv must be there (apt).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$HOME/edgesr}
python=${2:-/usr/bin/python3}

stop() {
    echo "install.sh: $*" >&2
    exit 1
}
fact() {
    sed -n "s/^ *\"$1\": *\"\{0,1\}\([^\",]*\).*/\1/p" "$here/bundle.json"
}

(cd "$here" && sha256sum --check --quiet SHA256SUMS) || stop "a file is damaged; copy the bundle again"
has=$("$python" -c 'import platform, sys; print("%d.%d" % sys.version_info[:2], platform.machine())') || stop "$python does not run"
needs="$(fact python) $(fact machine)"
[ "$has" = "$needs" ] || stop "the bundle is for JetPack $(fact jetpack) (Python and machine: $needs); here they are $has"

[ -x "$folder/bin/python" ] || "$python" -m venv --system-site-packages "$folder" ||
    stop "no virtual environment can be made; is python3-venv installed?"
pip() {
    "$folder/bin/python" -m pip --disable-pip-version-check --no-input install --no-index --find-links "$here/wheels" "$@"
}
pip --quiet "$here"/wheels/edgesr-*.whl 'onnx>=1.16' 'numpy<2' || stop "the wheels cannot be installed; see above"
pip --quiet --no-deps --force-reinstall "$here"/wheels/edgesr-*.whl || stop "edgesr cannot be installed; see above"
mkdir -p "$folder/models"
for model in "$here"/models/*.onnx; do
    [ ! -e "$model" ] || cp "$model" "$folder/models/"
done

if "$folder/bin/python" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pycuda") is None)'; then
    echo "PyCUDA is there already"
elif [ -x /usr/local/cuda/bin/nvcc ]; then
    echo "compiling PyCUDA, which takes minutes"
    PATH=/usr/local/cuda/bin:$PATH pip 'pycuda>=2024.1' 'numpy<2' || stop "PyCUDA cannot be compiled; see above"
else
    echo "no CUDA compiler in /usr/local/cuda: PyCUDA is left out, and engines can neither be built nor run"
fi
echo "installed in $folder; see: $folder/bin/edgesr-jetson doctor"
