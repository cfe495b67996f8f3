"""The paper's Table 1 on phantoms: both arms and the upper bound, over seeds, with differences and their intervals.

    python studies/table1.py --config configs/phantom.yaml --out runs/table1            2 cores, below an hour a seed
    python studies/table1.py --config configs/phantom.yaml --out runs/full --size full  a GPU
    python studies/table1.py --config configs/phantom.yaml --out runs/tiny --size tiny --seeds 1

All seeds train on one population, that of the configuration's own seed, and are scored on the same unseen cases. A
killed run goes on where it stopped. The section with the numbers is printed and written to `results.md` below `--out`;
`--page docs/results.md` puts it there too.
"""

from __future__ import annotations

from dataclasses import replace

from experiment import averaged, experiment_parser, make_population, provenance, publish, score_arm, sized, train

from evaluation.reporting.table import table1
from evaluation.scoring.scores import Row, summarise
from evaluation.statistics import ALL, compare, comparison_table, group_summaries, group_table
from training.arms import BASELINE, ONESHOT, UPPER_BOUND
from training.config import RunConfig, read_config
from vestibule.editions import TUMOUR, get_edition
from vestibule.errors import InputError
from vestibule.files import write_json

ARMS = (BASELINE.name, ONESHOT.name, UPPER_BOUND.name)
COMPARED = ((BASELINE.name, ONESHOT.name), (ONESHOT.name, UPPER_BOUND.name))
"""Pairs of arms whose difference is told, the second less the first."""


def main() -> None:
    """Train, score, print and write the section."""
    arguments = experiment_parser(__doc__).parse_args()
    try:
        base = sized(read_config(arguments.config), arguments.size)
    except InputError as error:
        raise SystemExit(f"table1: error: {error}") from error
    config = replace(base, arms=ARMS)
    edition = get_edition(config.edition)
    population = arguments.out / "population"
    make_population(config, population, print)

    scores: dict[str, list[list[Row]]] = {arm: [] for arm in ARMS}
    run_dirs = []
    for seed in range(config.seed, config.seed + arguments.seeds):
        run_dir = arguments.out / f"seed_{seed}"
        own = replace(config, seed=seed)
        train(own, run_dir, population, print)
        for arm in ARMS:
            scores[arm].append(score_arm(run_dir, arm, edition))
        run_dirs.append(run_dir)
    write_json(arguments.out / "scores.json", scores, indent=1)

    title = f"## Both arms and the upper bound on phantoms, {arguments.size} size"
    lines = [title, "", *report(scores, config), "", *provenance(run_dirs)]
    publish(lines, f"table1 {arguments.size}", arguments.out, arguments.page)


def report(scores: dict[str, list[list[Row]]], config: RunConfig) -> list[str]:
    """The section: the table over all runs, each seed alone, differences over cases, and classes of tumour."""
    edition = get_edition(config.edition)
    pooled = {}
    means = {}
    groups = {}
    for arm, runs in scores.items():
        rows = [row for run in runs for row in run]
        pooled[arm] = summarise(rows)
        means[arm] = averaged(runs)
        groups[arm] = [item for item in group_summaries(means[arm], edition) if item["group"] != ALL]

    differences = {}
    for first, second in COMPARED:
        differences[f"{second} - {first}"] = compare(means[first], means[second])

    seeds = len(next(iter(scores.values())))
    each = []
    for number in range(seeds):
        own = ", ".join(f"{arm} {_vs_dice(runs[number])}" for arm, runs in scores.items())
        each.append(f"seed {config.seed + number}: {own}")

    population = config.phantom
    cases = len({row["case"] for row in means[ARMS[0]]})
    lines = [
        f"{population.cases} labelled T1 and {population.cases} T2 training phantoms, {cases} unseen T2; {seeds} "
        f"seed(s) of the training on one population, so that {seeds * cases} masks are behind every line.",
        "",
        table1(pooled).markdown,
        "Differences of the means over seeds, paired by case, with the 95 % interval of a bootstrap over the cases:",
        "",
        comparison_table(differences).markdown,
        f"Mean VS Dice of each seed: {'; '.join(each)}.",
        "",
    ]
    if any(groups.values()):
        lines.append(group_table(groups).markdown)
    return lines


def _vs_dice(rows: list[Row]) -> str:
    mean = summarise(rows)[TUMOUR]["dice"]["mean"]
    return f"{mean:.3f}"


if __name__ == "__main__":
    main()
