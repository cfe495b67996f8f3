"""Faults done to runs of every stage: kills, signals, full disks, damage, two at once, clocks.

    python -m tests.reliability.faults [--short] [--seed 0] [--work FOLDER] [--workers 2] [--out counts.md]

Every trial has to end with the weights of a run that nothing disturbed, or in one clear line on stderr. Prints the
counts; exit code 1 where one of them did neither.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from tests.reliability.faults.clock import start_again_with_library
from tests.reliability.faults.plan import all_trials, short_trials
from tests.reliability.faults.trials import CLEAR, IN_NNUNET, SAME, SKIPPED, WRONG, Result, Template, stage_of
from tests.reliability.faults.world import finish, warm_up

SHORT_STAGES = ("phantom", "prepare", "cyclegan")
OUTCOMES = (SAME, CLEAR, SKIPPED, WRONG)


def make_template(work: Path, is_short: bool) -> Template:
    """A run that nothing disturbs; made once, by the same forked processes."""
    from tests.reliability.faults.world import CONFIG
    from training.config import read_config, stages_of

    run = work / "template"
    stages = tuple(stage.name for stage in stages_of(read_config(CONFIG)))
    if (run / "timings.json").is_file():
        return Template(run, stages)
    for stage in SHORT_STAGES if is_short else stages:
        ending = finish(stage, run)
        if ending.code != 0:
            sys.exit(f"an undisturbed {stage} failed: {ending.errors}")
    template = Template(run, stages)
    if not is_short:
        copy = template.before(IN_NNUNET, work / "timing")
        seconds = finish(stage_of(IN_NNUNET), copy).seconds
        (run / "timings.json").write_text(json.dumps({IN_NNUNET: seconds}))
    return template


def run_share(trials: list, number: int, workers: int, work: Path) -> None:
    """In a worker: every trial whose turn it is, a line of JSON for each result."""
    with (work / f"results-{number}.jsonl").open("w") as stream:
        for index in range(number, len(trials), workers):
            try:
                results = trials[index](work / f"worker-{number}")
            except Exception:
                tried = getattr(trials[index], "args", "")[1:]
                results = [Result("harness", f"a trial of its own {tried}", WRONG, traceback.format_exc())]
            for result in results:
                stream.write(json.dumps(asdict(result)) + "\n")
                stream.flush()


def run_all(trials: list, workers: int, work: Path) -> list[Result]:
    """Every trial, shared out among forked workers."""
    children = []
    for number in range(workers):
        pid = os.fork()
        if pid == 0:
            run_share(trials, number, workers, work)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    results = []
    for number in range(workers):
        for line in (work / f"results-{number}.jsonl").read_text().splitlines():
            results.append(Result(**json.loads(line)))
    return results


def table(results: list[Result]) -> str:
    """Counts by part and subject as Markdown."""
    counts: dict[tuple[str, str], Counter] = {}
    for result in results:
        counts.setdefault((result.part, result.subject), Counter())[result.outcome] += 1
    lines = [f"| fault | subject | {' | '.join(OUTCOMES)} |", "|---|---|" + "---|" * len(OUTCOMES)]
    total: Counter = Counter()
    for (part, subject), counter in sorted(counts.items()):
        total += counter
        cells = " | ".join(str(counter[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {part} | {subject} | {cells} |")
    cells = " | ".join(str(total[outcome]) for outcome in OUTCOMES)
    lines.append(f"| all | | {cells} |")
    return "\n".join(lines)


def main() -> int:
    """Run the suite; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few faults of the first stages alone")
    parser.add_argument("--seed", type=int, default=0, help="of the times at which runs are killed")
    parser.add_argument(
        "--work", type=Path, help="folder for the runs, whose undisturbed one is used again; by default a new one"
    )
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument("--out", type=Path, help="file for the counts, as Markdown")
    arguments = parser.parse_args()
    if not arguments.short:
        start_again_with_library()

    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        os.environ["FAULTS_WORK"] = str(work)
        warm_up()
        template = make_template(work, arguments.short)
        choose = short_trials if arguments.short else all_trials
        trials = choose(template, arguments.seed)
        print(f"{len(trials)} trials on {len(template.stages)} stages", flush=True)
        results = run_all(trials, arguments.workers, work)

    counts = table(results)
    wall = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    counts += f"\n\n{len(results)} endings in {wall:.0f} s; the processes' own time was {cpu:.0f} s."
    print(counts)
    if arguments.out:
        arguments.out.write_text(counts + "\n")
    wrong = [result for result in results if result.outcome == WRONG]
    for result in wrong:
        print(f"\n{result.part}, {result.subject}: {result.detail}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
