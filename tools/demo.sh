#!/usr/bin/env bash
# The method from beginning to end on phantoms, by the commands a user would type.
set -euo pipefail
cd "$(dirname "$0")/.."
BIN=${BIN:-.venv/bin} RUN=${RUN:-runs/demo} CONFIG=${CONFIG:-configs/phantom.yaml}
begin=$(date +%s)
run() { echo "+ vestibule $*"; "$BIN/vestibule" "$@"; }

run train run --config "$CONFIG" --run "$RUN"

# Arms are the bundle's to name, folders the edition's.
facts=$("$BIN/python" tools/demo_facts.py "$RUN")
{ read -r bundle; read -r images; read -r references; read -r default_arm; mapfile -t arms; } <<< "$facts"

for arm in "${arms[@]}"; do
  run predict "$images" "$RUN/predictions/$arm" --weights "$bundle" --arm "$arm"
done
scores=()
for arm in "${arms[@]}"; do
  run evaluate "$RUN/predictions/$arm" "$references" "$RUN/scores/$arm" --images "$images"
  run pictures "$RUN/predictions/$arm" "$references" "$RUN/pictures/$arm" --images "$images"
  scores+=("$arm=$RUN/scores/$arm")
done
run table1 "${scores[@]}" --json "$RUN/table1.json"
echo "Pictures: $RUN/transfer/figures (as the paper's Figure 2), $RUN/pictures/$default_arm (as its Figure 3)"
echo "Done in $(($(date +%s) - begin)) s."
