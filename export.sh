#!/usr/bin/env bash
# Writes the image, or a bundle of weights, as an archive to upload, and verifies it. See ./export.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<'HELP'
Usage: ./export.sh [OPTIONS]

Writes <name>.tar.gz for an upload, reads it back to verify it, and puts its sha256 beside it.

  --tag NAME        image to export (default: vestibule:latest)
  --weights DIR     export this bundle instead, as model.tar.gz, which the platform unpacks to /opt/ml/model
  --output FILE     where to write (default: the image's name, or model, with .tar.gz)
  --engine PROGRAM  docker or podman (default: $ENGINE, else the first that is there)
  -h, --help        this text
HELP
}

fail() {
	echo "export.sh: error: $*" >&2
	exit 1
}

wrong() {
	echo "export.sh: $*; see --help" >&2
	exit 2
}

tag=vestibule:latest output="" weights=""
engine=${ENGINE:-$(command -v docker || command -v podman || true)}
while (($#)); do
	case $1 in
	--tag | --output | --weights | --engine)
		(($# > 1)) || wrong "$1 needs a value"
		printf -v "${1#--}" %s "$2"
		shift
		;;
	-h | --help) usage && exit ;;
	*) wrong "unknown option $1" ;;
	esac
	shift
done
name=${tag##*/}
[[ -z $weights ]] || name=model
: "${output:=${name//:/-}.tar.gz}"
[[ $output == *.tar.gz ]] || wrong "--output must end in .tar.gz, got $output"

partial=$output.partial
trap 'rm -f "$partial"' EXIT

compress() {
	if command -v igzip >/dev/null; then
		igzip -1 -c
	elif command -v pigz >/dev/null; then
		pigz -1 -c
	else
		gzip -1 -c
	fi
}

if [[ -n $weights ]]; then
	[[ -f $weights/manifest.json ]] || fail "$weights: not a bundle of weights, manifest.json is missing from it"
	# Without names, times and owners of this machine: the same bundle gives the same archive.
	tar --create --directory "$weights" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=a+rX . |
		gzip -n -6 >"$partial"
	python3 -m contract.archive --weights "$partial" >&2 || fail "$output: the archive is no bundle that can be uploaded"
else
	[[ -n $engine ]] || fail "neither docker nor podman found; install one of them or name it with --engine"
	"$engine" image inspect "$tag" >/dev/null 2>&1 || fail "$tag: no such image; build it with ./build.sh --tag $tag"
	format=()
	[[ ${engine##*/} != podman ]] || format=(--format docker-archive)
	"$engine" save "${format[@]}" "$tag" | compress >"$partial"
	python3 -m contract.archive "$partial" >&2 || fail "$output: the archive would be refused, see above"
fi
mv "$partial" "$output"
(cd "$(dirname "$output")" && sha256sum "$(basename "$output")") >"$output.sha256"
printf 'wrote %s, %s MB, sha256 %s\n' "$output" "$(($(stat -c %s "$output") / 1000000))" "$(cut -d ' ' -f 1 "$output.sha256")"
