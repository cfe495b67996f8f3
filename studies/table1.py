"""The paper's Table 1 on phantoms: both arms and the upper bound, over seeds, with differences and their intervals.

    python studies/table1.py --config configs/phantom.yaml --out runs/table1            2 cores, below an hour a seed
    python studies/table1.py --config configs/phantom.yaml --out runs/full --size full  a GPU
    python studies/table1.py --config configs/phantom.yaml --out runs/tiny --size tiny --seeds 1 --page /tmp/page.md

All seeds train on one population, that of the configuration's own seed, and are scored on the same unseen cases. A
killed run goes on where it stopped. The page gets the numbers as they come out.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from experiment import averaged, experiment_parser, make_population, provenance, score_arm, sized, train, write_section

from evaluation.reporting.table import table1
from evaluation.scoring.scores import Row, summarise
from evaluation.statistics import compare, comparison_table, group_summaries, group_table
from training.arms import BASELINE, ONESHOT, UPPER_BOUND
from training.config import RunConfig, read_config
from vestibule.editions import get_edition
from vestibule.errors import InputError

ARMS = (BASELINE.name, ONESHOT.name, UPPER_BOUND.name)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"


def main() -> None:
    """Train, score, print and write the section of the results page."""
    arguments = experiment_parser(__doc__, PAGE).parse_args()
    try:
        base = sized(read_config(arguments.config), arguments.size)
    except InputError as error:
        raise SystemExit(f"table1: error: {error}") from error
    config = replace(base, arms=ARMS)
    population = arguments.out / "population"
    make_population(config, population, print)
    edition = get_edition(config.edition)
    scores: dict[str, list[list[Row]]] = {arm: [] for arm in ARMS}
    run_dirs = [arguments.out / f"seed_{config.seed + number}" for number in range(arguments.seeds)]
    for number, run_dir in enumerate(run_dirs):
        train(replace(config, seed=config.seed + number), run_dir, population, print)
        for arm in ARMS:
            scores[arm].append(score_arm(run_dir, arm, edition))
    (arguments.out / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
    title = f"## Both arms and the upper bound on phantoms, {arguments.size} size"
    text = "\n".join([title, "", *report(scores, config), "", *provenance(run_dirs)])
    print(text)
    write_section(arguments.page, f"table1 {arguments.size}", text)


def report(scores: dict[str, list[list[Row]]], config: RunConfig) -> list[str]:
    """The section: the table over all runs, each seed alone, differences over cases, and classes of tumour."""
    seeds = len(next(iter(scores.values())))
    pooled = {arm: [row for rows in runs for row in rows] for arm, runs in scores.items()}
    means = {arm: averaged(runs) for arm, runs in scores.items()}
    cases = len({row["case"] for row in means[BASELINE.name]})
    compared = ((BASELINE, ONESHOT), (ONESHOT, UPPER_BOUND))
    pairs = {f"{second.name} - {first.name}": (first.name, second.name) for first, second in compared}
    differences = {name: compare(means[first], means[second]) for name, (first, second) in pairs.items()}
    edition = get_edition(config.edition)
    groups = {
        arm: [item for item in group_summaries(rows, edition) if item["group"] != "all"] for arm, rows in means.items()
    }
    each = "; ".join(
        f"seed {config.seed + number}: " + ", ".join(f"{arm} {_vs_dice(runs[number])}" for arm, runs in scores.items())
        for number in range(seeds)
    )
    population = config.phantom
    return [
        f"{population.cases} labelled T1 and {population.cases} T2 training phantoms, {cases} unseen T2; {seeds} "
        f"seed(s) of the training on one population, so that {seeds * cases} masks are behind every line.",
        "",
        table1({arm: summarise(rows) for arm, rows in pooled.items()}).markdown,
        "Differences of the means over seeds, paired by case, with the 95 % interval of a bootstrap over the cases:",
        "",
        comparison_table(differences).markdown,
        f"Mean VS Dice of each seed: {each}.",
        "",
        *([group_table(groups).markdown] if any(groups.values()) else []),
    ]


def _vs_dice(rows: list[Row]) -> str:
    return f"{summarise(rows)['vs']['dice']['mean']:.3f}"


if __name__ == "__main__":
    main()
