#!/usr/bin/env bash
# Builds the source archive and the wheel of it, installs the wheel into an empty environment outside of the clone, and
# works there as a user would: masks, scores with their page, and a short training by the name of a configuration.
#     tools/package.sh TORCH TORCHVISION        versions, as the Makefile has them
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/tools torch=$1 torchvision=$2
torch=$(tools/torch_requirement.sh "$torch")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
begin=$(date +%s)
told() { echo "$* ($(($(date +%s) - begin)) s)"; }

# Of what is tracked, elsewhere: a build leaves folders behind.
mkdir "$work/source" "$work/elsewhere"
git ls-files -z | tar --create --null --files-from=- | tar --extract --directory "$work/source"
"${PYTHON:-python3}" -m venv "$work/build"
"$work/build/bin/pip" install --quiet --disable-pip-version-check --constraint constraints.txt build
"$work/build/bin/python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" 2>&1 || {
  cat "$work/build.log" >&2
  exit 1
}
wheel=$(echo "$work"/dist/*.whl)
told "built: $(cd "$work/dist" && echo ./*)"

"${PYTHON:-python3}" -m venv "$work/empty"
pip() { "$work/empty/bin/pip" --quiet --disable-pip-version-check "$@"; }
pip install "$torch"
"$tools/torchvision.sh" "$work/empty/bin/python" "$torchvision"
pip install --constraint constraints.txt "${wheel}[training,evaluation]"
told "installed"

# Nothing of the clone may help.
cd "$work/elsewhere"
unset PYTHONPATH VESTIBULE_WEIGHTS
export OMP_NUM_THREADS=1
python=$work/empty/bin/python
vestibule=$work/empty/bin/vestibule
"$python" -c "import sys, vestibule; sys.exit(not vestibule.__file__.startswith('$work/empty/'))"
"$python" -m vestibule --version
"$vestibule" phantom data --cases 1 --validation 1 --shape 28,128,128 --spacing 1.5,1.2,1.2
"$vestibule" predict data/target_validation masks
"$vestibule" evaluate masks data/references/target_validation scores --images data/target_validation
grep --quiet '<html' scores/report.html
told "predicted and scored"
"$vestibule" train rehearse --config phantom --steps 3
told "trained"
