#!/usr/bin/env bash
# Builds the submission's image. See ./build.sh --help and docs/how-to/container.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<'HELP'
Usage: ./build.sh [OPTIONS]

Builds the submission's image with docker or podman.

  --tag NAME        name of the image (default: vestibule:latest, or vestibule-evaluation:latest)
  --base IMAGE      base image with python3 3.11 or 3.12 (default: the Dockerfile's, PyTorch with CUDA)
  --cpu             a smaller image without CUDA: on python:3.11-slim-bookworm unless --base is given, with torch
                    and all else from wheels that pip fetches here, into requirements/wheels
  --python VERSION  the base's Python, for --cpu (default: 3.11)
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

tag="" base="" cpu="" dicom="" evaluation="" python=3.11 weights=weights/phantom api=invoke
engine=${ENGINE:-$(command -v docker || command -v podman || true)}
while (($#)); do
	case $1 in
	--tag | --base | --python | --weights | --api | --engine)
		(($# > 1)) || wrong "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	--cpu) cpu=1 ;;
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

# Fetches wheels for the base's Python, checked against the lock, with the CPU's build of torch; once for each lock.
fetch_wheels() {
	local wheels=requirements/wheels archive stamp
	local for_image=(--python-version "$python" --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64)
	stamp="$python $(cat requirements/*.txt | sha256sum)"
	[[ $stamp != "$(cat "$wheels/fetched" 2>/dev/null)" ]] || return 0
	rm -f "$wheels"/*.whl "$wheels"/*.tar.gz "$wheels/fetched"
	python3 -m pip download -q --no-deps -d "$wheels" "${for_image[@]}" --require-hashes -r requirements/inference.txt
	python3 -m pip download -q --no-deps -d "$wheels" "${for_image[@]}" --require-hashes -r requirements/evaluation.txt
	python3 -m pip download -q --no-deps -d "$wheels" "${for_image[@]}" --require-hashes -r requirements/dicom.txt
	for archive in "$wheels"/*.tar.gz; do
		[[ ! -e $archive ]] || SOURCE_DATE_EPOCH=315532800 python3 -m pip wheel -q --no-deps -w "$wheels" "$archive"
		rm -f "$archive"
	done
	python3 -m pip download -q --no-deps -d "$wheels" "${for_image[@]}" -r requirements/torch.txt
	if [[ -z $(find "$wheels" -name 'torch-*+cpu*.whl') || -n $(find "$wheels" -name 'nvidia_*') ]]; then
		fail "pip found a torch with CUDA for Python $python; point PIP_INDEX_URL or PIP_FIND_LINKS at its CPU builds"
	fi
	echo "$stamp" >"$wheels/fetched"
}

[[ -n $evaluation ]] || stage_weights
if [[ -n $cpu ]]; then
	# Builds that run side by side fetch once.
	if command -v flock >/dev/null; then
		exec 9>requirements/wheels/.lock
		flock 9
	fi
	fetch_wheels
	exec 9>&-
	: "${base:=python:3.11-slim-bookworm}"
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
[[ -z $cpu ]] || arguments+=(--network none --build-arg OFFLINE=1)
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' vestibule/__init__.py)
revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
arguments+=(--build-arg "VERSION=$version" --build-arg "REVISION=$revision" --platform linux/amd64)

DOCKER_BUILDKIT=1 "$engine" build "${arguments[@]}" .
echo "built $tag"
