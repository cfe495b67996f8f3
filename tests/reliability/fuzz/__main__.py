"""Damage thousands of files, read them, and run commands on them: `python -m tests.reliability.fuzz --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.fuzz.commands import command_kinds, make_scene
from tests.reliability.fuzz.guard import Limits
from tests.reliability.fuzz.kinds import all_kinds
from tests.reliability.fuzz.runner import GOOD, Kind, Tally, run
from tests.tiny_bundle import write_tiny_bundle


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the same seed damages the same files (default: 0)")
    parser.add_argument("--count", type=int, default=6000, help="files in all (default: 6000)")
    parser.add_argument(
        "--commands", type=int, default=1000, help="whole commands with a damaged file, in all (default: 1000)"
    )
    parser.add_argument("--kind", action="append", help="only this kind; may be repeated")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--keep", type=Path, help="folder for files that fail (default: a temporary one)")
    chosen = parser.parse_args()

    keep = chosen.keep or Path(tempfile.mkdtemp(prefix="fuzz-failures-"))
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-seeds-") as folder:
        scratch = Path(folder)
        bundle = write_tiny_bundle(scratch / "bundle")
        scene = make_scene(scratch / "scene", bundle)
        counted = shared_out(all_kinds(bundle, scratch), chosen.count)
        counted += shared_out(command_kinds(scene), chosen.commands)
        if chosen.kind:
            known = {kind.name for kind, _ in counted}
            unknown = set(chosen.kind) - known
            if unknown:
                parser.error(f"no kind {', '.join(unknown)}; there are {', '.join(sorted(known))}")
            counted = [(kind, count) for kind, count in counted if kind.name in chosen.kind]
        tallies = run(counted, chosen.seed, chosen.workers, keep, _tell, Limits())
    print(table(tallies))
    failures = sum(len(tally.failures) for tally in tallies.values())
    files = sum(tally.counts.total() for tally in tallies.values())
    print(f"\n{files} damaged files, seed {chosen.seed}, {time.monotonic() - begin:.0f} s: {failures} failures")
    if failures:
        print(f"files that failed, and why: {keep}", file=sys.stderr)
    return 1 if failures else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def shared_out(kinds: list[Kind], count: int) -> list[tuple[Kind, int]]:
    """`count` files over the kinds by their weights, at least one of each; none of any where `count` is 0."""
    if count == 0:
        return []
    total = sum(kind.weight for kind in kinds)
    return [(kind, max(1, round(count * kind.weight / total))) for kind in kinds]


def table(tallies: dict[str, Tally]) -> str:
    """The counts as Markdown."""
    lines = [
        "| kind | files | refused | accepted | warned | failed | lines reached | peak MiB | slowest s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, tally in tallies.items():
        good = " | ".join(str(tally.counts[verdict]) for verdict in GOOD)
        failed = len(tally.failures)
        cost = f"{tally.lines} | {tally.peak_bytes >> 20} | {tally.slowest_s:.1f}"
        lines.append(f"| {name} | {tally.counts.total()} | {good} | {failed} | {cost} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
