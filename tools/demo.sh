#!/usr/bin/env bash
# The method from beginning to end on phantoms, by the commands a user would type.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin} RUN=${RUN:-runs/demo} CONFIG=${CONFIG:-configs/phantom.yaml}
begin=$(date +%s)
run() { echo "+ vestibule $*"; "$BIN/vestibule" "$@"; }

run train run --config "$CONFIG" --run "$RUN"
images="$RUN/phantom/data/target_validation"
references="$RUN/phantom/data/references/target_validation"
for arm in baseline oneshot; do
  run predict "$images" "$RUN/predictions/$arm" --weights "$RUN/export/bundle" --arm "$arm"
done
arms=()
for arm in baseline oneshot; do
  run evaluate "$RUN/predictions/$arm" "$references" "$RUN/scores/$arm" --edition 2021 --images "$images"
  run pictures "$images" "$RUN/predictions/$arm" "$references" "$RUN/pictures/$arm" --edition 2021
  arms+=("$arm=$RUN/scores/$arm")
done
run table1 "${arms[@]}" --json "$RUN/table1.json"
echo "Pictures: $RUN/transfer/figures (as the paper's Figure 2), $RUN/pictures/oneshot (as its Figure 3)"
echo "Done in $(($(date +%s) - begin)) s."
