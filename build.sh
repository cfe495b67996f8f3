#!/usr/bin/env bash
# Builds the submission's image. See ./build.sh --help and docs/how-to/container.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<'HELP'
Usage: ./build.sh [OPTIONS]

Builds the submission's image with docker or podman.

  --tag NAME        name of the image (default: vestibule:latest, or vestibule-evaluation:latest)
  --base IMAGE      base image with python3 3.11 or 3.12 (default: the Dockerfile's, PyTorch with CUDA 12.6)
  --cpu             a smaller image without CUDA: on python:3.11-slim-bookworm unless --base is given, with torch
                    and all else from wheels that pip fetches here, into requirements/wheels
  --cuda-wheels     likewise, but torch with CUDA as the package index has it, for those who cannot pull the default
                    base; the build's output says for which CUDA and which GPUs it is made
  --torch VERSION   which torch that is (default: the one in requirements/torch.txt); 2.7.1 has CUDA 12.6 on PyPI
  --offline         the base's own torch, and all else from wheels that pip fetches here: the build needs no network
  --python VERSION  the base's Python, where wheels are fetched (default: 3.12 for the default base, else 3.11)
  --weights DIR     bundle of weights to put into the image (default: weights/phantom)
  --no-weights      no weights in the image: they are mounted at /opt/ml/model, see ./export.sh --weights
  --dicom           an image that reads DICOM, too, and writes masks as DICOM
  --api METHOD      how the platform calls it: invoke (default), a server that loads all it needs once, or exec; a
                    flat folder of cases in /input is done in one run in either
  --evaluation      the organisers' image instead, which scores masks: evaluation/Dockerfile, no weights
  --engine PROGRAM  docker or podman (default: $ENGINE, else the first that is there)
  -h, --help        this text
HELP
}

fail() {
	echo "build.sh: error: $*" >&2
	exit 1
}

wrong() {
	echo "build.sh: $*; see --help" >&2
	exit 2
}

tag="" base="" wheels="" torch="" dicom="" evaluation="" python="" weights=weights/phantom api=invoke
engine=${ENGINE:-$(command -v docker || command -v podman || true)}
while (($#)); do
	case $1 in
	--tag | --base | --python | --torch | --weights | --api | --engine)
		(($# > 1)) || wrong "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--cpu | --cuda-wheels | --offline)
		[[ -z $wheels || $wheels == "${1#--}" ]] || wrong "--$wheels and $1 exclude each other"
		wheels=${1#--}
		;;
	--dicom) dicom=1 ;;
	--no-weights) weights="" ;;
	--evaluation) evaluation=-evaluation ;;
	-h | --help) usage && exit ;;
	*) wrong "unknown option $1" ;;
	esac
	shift
done
: "${tag:=vestibule$evaluation:latest}"
[[ -z $dicom || -z $evaluation ]] || wrong "--dicom is of the submission's image, and not of --evaluation"
[[ $wheels != cuda-wheels || -z $evaluation ]] || wrong "--cuda-wheels is of the submission's image; --evaluation has no torch"
[[ $wheels == cuda-wheels || -z $torch ]] || wrong "--torch is for --cuda-wheels"
[[ $api == exec || $api == invoke ]] || wrong "--api must be exec or invoke, got $api"
[[ -n $engine ]] || fail "neither docker nor podman found; install one of them or name it with --engine"

staged=""
trap '[[ -z $staged ]] || rm -rf "$staged"' EXIT

# Puts the bundle's files where the Dockerfile can see them, and refuses what is no bundle.
stage_weights() {
	mkdir -p build
	staged=$(mktemp -d build/weights.XXXXXX)
	[[ -n $weights ]] || return 0
	[[ -d $weights ]] || fail "$weights: no such folder of weights; name one with --weights, or use --no-weights"
	[[ -f $weights/manifest.json ]] || fail "$weights: not a bundle of weights, manifest.json is missing from it"
	local file
	while IFS= read -r -d '' file; do
		if head -c 60 "$file" | tr -d '\0' | grep -q '^version https://git-lfs'; then
			fail "$file: is a Git LFS pointer and not the file itself; run git lfs pull"
		fi
	done < <(find "$weights" -type f -print0)
	cp -R "$weights/." "$staged/"
}

readonly folder=requirements/wheels

# pip download for the base's Python.
download() {
	python3 -m pip download -q --python-version "$python" --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 "$@"
}

# Whether a folder holds what was asked for the last time; a stamp says what that was.
is_fetched() {
	[[ "$2" == "$(cat "$1/fetched" 2>/dev/null)" ]]
}

# Fetches all wheels but torch's, checked against the locks; once for each lock.
fetch_wheels() {
	local name archive stamp
	stamp="$python $(cat requirements/*.txt | sha256sum)"
	! is_fetched "$folder" "$stamp" || return 0
	rm -f "$folder"/*.whl "$folder"/*.tar.gz "$folder/fetched"
	for name in inference evaluation dicom; do
		download --no-deps -d "$folder" --require-hashes -r "requirements/$name.txt"
	done
	for archive in "$folder"/*.tar.gz; do
		[[ ! -e $archive ]] || SOURCE_DATE_EPOCH=315532800 python3 -m pip wheel -q --no-deps -w "$folder" "$archive"
		rm -f "$archive"
	done
	echo "$stamp" >"$folder/fetched"
}

# Fetches torch: for the CPU, or with the CUDA libraries that it names.
fetch_torch() {
	local stamp="$wheels $python $torch" older=() minor
	! is_fetched "$folder/torch" "$stamp" || return 0
	rm -rf "$folder/torch"
	if [[ $wheels == cpu ]]; then
		download --no-deps -d "$folder/torch" "torch==$torch"
		if [[ -z $(find "$folder/torch" -name 'torch-*+cpu*.whl') ]]; then
			fail "pip found a torch with CUDA for Python $python; point PIP_INDEX_URL or PIP_FIND_LINKS at its CPU builds"
		fi
	else
		# CUDA's libraries are made for many a glibc, and pip takes the named ones alone, not what is older.
		for minor in {27..18}; do
			older+=(--platform "manylinux_2_${minor}_x86_64")
		done
		# Three signs: this build, and no other of the same version, such as one for the CPU.
		download "${older[@]}" --only-binary :all: -d "$folder/torch" "torch===$torch"
		# Triton compiles on the run's own machine, which no prediction does; the rest is in inference.txt.
		find "$folder/torch" -name '*.whl' ! -name 'torch-*' ! -name 'nvidia_*' ! -name 'cuda_*' -delete
		if [[ -z $(find "$folder/torch" -name 'nvidia_*' -o -name 'cuda_*') ]]; then
			fail "pip found no torch $torch with CUDA for Python $python; name another with --torch, or point PIP_INDEX_URL elsewhere"
		fi
	fi
	echo "$stamp" >"$folder/torch/fetched"
}

[[ -n $evaluation ]] || stage_weights
if [[ $wheels == offline && -z $base ]]; then
	: "${python:=3.12}"
elif [[ -n $wheels ]]; then
	: "${python:=3.11}" "${base:=python:$python-slim-bookworm}"
fi
if [[ -n $wheels ]]; then
	: "${torch:=$(sed -n 's/^torch==//p' requirements/torch.txt)}"
	# Builds that run side by side fetch once.
	if command -v flock >/dev/null; then
		exec 9>"$folder/.lock"
		flock 9
	fi
	fetch_wheels
	[[ $wheels == offline || -n $evaluation ]] || fetch_torch
	exec 9>&-
fi

arguments=(--tag "$tag")
if [[ -n $evaluation ]]; then
	arguments+=(--file evaluation/Dockerfile)
else
	arguments+=(--build-arg "WEIGHTS=$staged")
fi
arguments+=(--build-arg "API_METHOD=$api")
# An image that is called as exec never serves, whatever lies in /input.
[[ $api == invoke ]] || arguments+=(--build-arg API=exec)
[[ -z $dicom ]] || arguments+=(--build-arg DICOM=1)
[[ -z $base ]] || arguments+=(--build-arg "BASE_IMAGE=$base")
[[ -z $wheels ]] || arguments+=(--network none --build-arg OFFLINE=1)
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' vestibule/__init__.py)
revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
arguments+=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --platform linux/amd64)

DOCKER_BUILDKIT=1 "$engine" build "${arguments[@]}" .
echo "built $tag"
