#!/bin/sh
# Installs what a container imports into the virtual environment /opt/venv; run by the Dockerfiles.
#     install.sh inference|evaluation
#     install.sh dicom      what /opt/venv with inference lacks, into /opt/dicom, to be laid over /opt/venv
# Where OFFLINE is set, all comes from requirements/wheels; else pip asks its index.
set -eu
here=$(dirname "$0")
name=$1

python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' ||
	{ echo "the base image's python3 is $(python3 --version), expected 3.11 or 3.12" >&2; exit 1; }

root=/opt/venv target=""
if [ "$name" = dicom ]; then
	root=/opt/dicom
	target=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib", vars={"base": "/opt/dicom"}))')
else
	# The environment sees the base image's packages, so that a CUDA base keeps its own torch.
	python3 -m venv --without-pip --system-site-packages "$root"
fi
# A Debian python has pip only in virtual environments, other bases have it outside and lack ensurepip. Either way it
# installs into an environment: the system's own packages may be marked as externally managed.
python3 -m venv /tmp/pip 2>/dev/null || python3 -m venv --without-pip --system-site-packages /tmp/pip
/tmp/pip/bin/python -c 'import pip' 2>/dev/null ||
	{ echo "the base image's python3 has neither ensurepip nor pip; name another base" >&2; exit 1; }
install() {
	/tmp/pip/bin/python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-compile \
		${target:+--target "$target"} "$@"
}

if [ -n "${OFFLINE:-}" ]; then
	# Hashes are checked when wheels are fetched: a wheel built here from a source archive has one of its own.
	sed 's/ --hash=.*//' "$here/$name.txt" >/tmp/pip/locked.txt
	install --no-index --find-links="$here/wheels" --no-deps --requirement /tmp/pip/locked.txt
else
	install --no-deps --require-hashes --requirement "$here/$name.txt"
fi

if [ "$name" != inference ]; then
	echo "no torch for $name"
elif python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
	echo "torch comes with the base image"
elif [ -n "${OFFLINE:-}" ]; then
	[ -n "$(find "$here/wheels/torch" -name 'torch-*.whl' 2>/dev/null)" ] ||
		{ echo "the base image has no torch; build with --cpu or --cuda-wheels, or name a base that has it" >&2; exit 1; }
	# With CUDA, its libraries lie beside it.
	install --no-index --no-deps "$here"/wheels/torch/*.whl
else
	install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --requirement "$here/torch.txt"
fi

# The test suites and headers that packages ship are a tenth of the image; torch's tests alone are 80 MB. Commands lie in
# site-packages/bin where pip was given a target.
find $root/lib -type d \( -name tests -o -name test_files -o -path '*/site-packages/bin' \) -prune -exec rm -rf {} +
rm -rf $root/lib/python3*/site-packages/torch/test $root/lib/python3*/site-packages/torch/include
find $root/lib -path '*/torch/bin/*' ! -name torch_shm_manager -delete

# Bytecode for what a run imports and for nothing else: a cold start is quick and the image small.
touch /tmp/before
PYTHONPATH=$target /opt/venv/bin/python "$here/imports.py" "$name"
# That of modules of /opt/venv which only DICOM imports would else stay behind.
[ -z "$target" ] || (cd /opt/venv && find . -name '*.pyc' -newer /tmp/before -exec cp --parents {} "$root" \;)
