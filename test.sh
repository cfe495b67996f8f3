#!/usr/bin/env bash
# Runs the image on a test case as the platform does and compares all that it wrote. See ./test.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
	cat <<'HELP'
Usage: ./test.sh [OPTIONS]

Runs the image in a sandbox as strict as the platform's, and compares voxels, geometry and JSON with what is expected.

  --tag NAME         image to test (default: vestibule:latest)
  --input DIR        what the container finds in /input (default: tests/container/case/input)
  --expected DIR     what it must write to /output (default: tests/container/case/expected)
  --allow-voxels N   that many voxels of a mask may differ (default: 0); another processor can move a border
  --update           keep what the image writes as the expected output, and compare nothing
  --weights DIR      bundle to mount at /opt/ml/model
  --outside          run process.py with this machine's Python ($PYTHON, else .venv's, else python3) instead of the
                     image: no sandbox, and no engine is needed; with --update, renews the kept masks of new weights
  --engine PROGRAM   docker or podman (default: $ENGINE, else the first that is there)
  -h, --help         this text

Exit code 0 only where the run succeeded and nothing differs.
HELP
}

fail() {
	echo "test.sh: error: $*" >&2
	exit 1
}

wrong() {
	echo "test.sh: $*; see --help" >&2
	exit 2
}

tag=vestibule:latest input=tests/container/case/input expected=tests/container/case/expected update="" weights=""
allow_voxels=0 outside=""
engine=${ENGINE:-$(command -v docker || command -v podman || true)}
while (($#)); do
	case $1 in
	--tag | --input | --expected | --weights | --engine | --allow-voxels)
		(($# > 1)) || wrong "$1 needs a value"
		option=${1#--}
		printf -v "${option//-/_}" %s "$2"
		shift
		;;
	--update) update=1 ;;
	--outside) outside=1 ;;
	-h | --help) usage && exit ;;
	*) wrong "unknown option $1" ;;
	esac
	shift
done
[[ $allow_voxels =~ ^[0-9]+$ ]] || wrong "--allow-voxels must be a number, got $allow_voxels"
[[ -d $input ]] || fail "$input: no such folder; name one with --input"
[[ -n $update || -d $expected ]] || fail "$expected: no such folder; make it with --update, or name another"
if [[ -n $outside ]]; then
	tag=process.py
	python=${PYTHON:-.venv/bin/python}
	command -v "$python" >/dev/null || python=python3
else
	[[ -n $engine ]] || fail "neither docker nor podman found; install one of them or name it with --engine"
	"$engine" image inspect "$tag" >/dev/null 2>&1 || fail "$tag: no such image; build it with ./build.sh --tag $tag"
fi

sandbox=(--network none --cap-drop ALL --security-opt no-new-privileges --pids-limit 256 --shm-size 128m
	--memory 4g --memory-swap 4g --read-only --tmpfs /tmp)
mounts=(--volume "$(realpath "$input"):/input:ro")
[[ -z $weights ]] || mounts+=(--volume "$(realpath "$weights"):/opt/ml/model:ro")

output=$(mktemp -d)
readable=$(mktemp -d)
container=""
cleanup() {
	if [[ -n $container ]]; then
		"$engine" rm --force "$container" >/dev/null 2>&1 || true
		# The image's user owns what it wrote, and may be the only one who can remove it.
		"$engine" run --rm --network none --volume "$output:/output" --entrypoint find "$tag" \
			/output -mindepth 1 -delete >/dev/null 2>&1 || true
	fi
	rm -rf "$output" "$readable"
}
trap cleanup EXIT
chmod 777 "$output"

milliseconds() { date +%s%3N; }

# Highest memory of the container's processes and their file cache, in bytes, where this kernel tells; else nothing.
peak_memory() {
	local pid path
	pid=$("$engine" inspect --format '{{.State.Pid}}' "$container" 2>/dev/null) || return 0
	path=$(sed -n 's/^[0-9]*:memory://p; s/^0:://p' "/proc/$pid/cgroup" 2>/dev/null | head -n 1) || return 0
	# A process that just began or ended is counted with the whole machine.
	[[ $path == *"$container"* ]] || return 0
	cat "/sys/fs/cgroup/memory$path/memory.max_usage_in_bytes" "/sys/fs/cgroup$path/memory.peak" 2>/dev/null |
		head -n 1 || true
}

run_image() {
	local started first="" peak="" now code
	started=$(milliseconds)
	container=$("$engine" run --detach --pull never "${sandbox[@]}" "${mounts[@]}" --volume "$output:/output" "$tag")
	if [[ $api == invoke ]]; then
		"$engine" exec "$container" python3 -m vestibule.client || true
	fi
	while [[ $("$engine" inspect --format '{{.State.Running}}' "$container") == true ]]; do
		now=$(peak_memory)
		[[ -z $now ]] || peak=$now
		if [[ -z $first && -n $(find "$output" -type f ! -name '.*' -name '*.mha' -o ! -name '.*' -name '*.nii*') ]]; then
			first=$(milliseconds)
		fi
		[[ $api != invoke ]] || "$engine" stop "$container" >/dev/null
		sleep 0.1
	done
	now=$(milliseconds)
	code=$("$engine" inspect --format '{{.State.ExitCode}}' "$container")
	"$engine" logs "$container"
	[[ $api != invoke || $code != 143 ]] || code=0
	((code == 0)) || fail "$tag: exit code $code$( ((code == 137)) && echo ', killed: out of memory?')"
	awk -v wall="$((now - started))" -v first="$((${first:-$now} - started))" -v peak="${peak:-0}" 'BEGIN {
		printf "wall time %.1f s, first mask after %.1f s, peak memory ", wall / 1000, first / 1000
		if (peak > 0) printf "%.2f GB with its file cache\n", peak / 1e9; else print "not measurable here"
	}'
}

run_outside() {
	local started
	started=$(milliseconds)
	"$python" process.py --input "$input" --output "$output" ${weights:+--weights "$weights"} ||
		fail "$tag: exit code $?"
	echo "$(($(milliseconds) - started)) ms, outside of any sandbox"
}

compare() {
	if [[ -n $outside ]]; then
		"$python" -m contract.compare --allow-voxels "$allow_voxels" "$expected" "$output"
	else
		# The image's user is another one, and so may not read what a strict umask left here.
		cp -R contract "$readable"
		chmod -R a+rX "$readable"
		"$engine" run --rm --pull never "${sandbox[@]}" --volume "$(realpath "$expected"):/expected:ro" \
			--volume "$output:/output:ro" --volume "$readable/contract:/opt/vestibule/contract:ro" --entrypoint python3 "$tag" \
			-m contract.compare --allow-voxels "$allow_voxels" /expected /output
	fi
}

if [[ -n $outside ]]; then
	run_outside
else
	api=$("$engine" image inspect --format '{{index .Config.Labels "org.grand-challenge.api-method"}}' "$tag")
	# A flat folder of cases is done in one run, whatever the label says.
	[[ -d $input/images || -e $input/inputs.json ]] || api="exec"
	run_image
fi
if [[ -n $update ]]; then
	rm -rf "$expected"
	cp -R "$output" "$expected"
	chmod -R go-w "$expected"
	echo "kept as expected: $expected"
	exit
fi
compare || fail "$tag: its output is not the expected one in $expected"
echo "passed: $tag writes what is in $expected"
