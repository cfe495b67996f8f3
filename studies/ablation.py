"""What goes into B', and what each is worth: variants of the transfer, each with its own pix2pix, on unseen phantoms.

    python studies/ablation.py --config configs/phantom.yaml --out runs/ablation                     3 seeds
    python studies/ablation.py --config configs/phantom.yaml --out runs/ablation --trainings 4       4 of each seed
    python studies/ablation.py --config configs/phantom.yaml --out runs/tiny --size tiny --page /tmp/page.md

Phantoms, CycleGAN, SinGAN and segmenter of a seed are shared: only `transfer` and `pix2pix` differ. These two can be
trained several times behind what a seed shares, by other seeds of their own, so that chance in them averages out. The
variants are lines of `VARIANTS`; `--only` names some of them. A killed run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
from experiment import (
    averaged,
    experiment_parser,
    link,
    make_population,
    provenance,
    score_arm,
    sized,
    train,
    write_section,
)

from evaluation.reporting.table import TextTable, spread
from evaluation.scoring.scores import Row, summarise
from evaluation.statistics import compare
from training.arms import BASELINE, ONESHOT
from training.config import ReferenceConfig, RunConfig, read_config, scheduled
from training.data.slices import read_cases
from training.diagnostics.contrast import contrast_rows
from training.stage_table import CYCLEGAN, EXPORT, HARMONISER, PIX2PIX, PREPARE, SEGMENTER, TRANSFER
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
SHARED = (PREPARE, CYCLEGAN, HARMONISER, SEGMENTER)
OWN = (TRANSFER, PIX2PIX, EXPORT)


@dataclass(frozen=True)
class Variant:
    """One way to fill B'."""

    intensity: str = "none"
    injects: bool = False
    """Through the one-shot model, at the configuration's n*."""
    blending: str = "soft"
    references: int = 1
    """Reference slices, each with a cascade of its own."""
    schedule: str | None = None
    """The one-shot model's schedule, where it is not the configuration's."""
    matches: str | None = None
    """Variant that it is compared with; by default `none`."""


VARIANTS = {
    "none": Variant(blending="none"),
    "naive": Variant(),
    "poisson": Variant(blending="poisson"),
    "reference": Variant(intensity="reference"),
    "reference, poisson": Variant(intensity="reference", blending="poisson", matches="reference"),
    "naive, SinGAN": Variant(injects=True, matches="naive"),
    "poisson, SinGAN": Variant(injects=True, blending="poisson", matches="poisson"),
    "reference, SinGAN": Variant(intensity="reference", injects=True, matches="reference"),
    "reference, SinGAN of 3 slices": Variant("reference", True, references=3, matches="reference"),
    "reference, SinGAN, fast": Variant("reference", True, schedule="fast", matches="reference"),
    "reference, SinGAN, paper": Variant("reference", True, schedule="paper", matches="reference"),
}


def main() -> None:
    """Train, score, print and write the section of the results page."""
    arguments = parse()
    try:
        config = replace(sized(read_config(arguments.config), arguments.size), arms=(BASELINE.name, ONESHOT.name))
    except InputError as error:
        raise SystemExit(f"ablation: error: {error}") from error
    names = arguments.only or list(VARIANTS)
    population = arguments.out / "population"
    make_population(config, population, print)
    scores: dict[str, list[list[Row]]] = {name: [] for name in names}
    contrasts: dict[str, list[float]] = {name: [] for name in names}
    run_dirs, edition = [], get_edition(config.edition)
    seeds = range(config.seed, config.seed + arguments.seeds)
    for seed, training in product(seeds, range(arguments.trainings)):
        for name in names:
            folder = name.replace(", ", "_").replace(" ", "_") + (f"_{training}" if training else "")
            run_dir = arguments.out / f"seed_{seed}" / folder
            run_variant(VARIANTS[name], replace(config, seed=seed), run_dir, population, training)
            scores[name].append(score_arm(run_dir, ONESHOT.name, edition))
            contrasts[name].append(contrast_in_b_prime(run_dir, edition))
            run_dirs.append(run_dir)
    (arguments.out / "scores.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")
    title = f"## What goes into B', {arguments.size} size"
    text = "\n".join([title, "", *report(scores, contrasts, config, arguments.trainings), "", *provenance(run_dirs)])
    print(text)
    write_section(arguments.page, f"ablation {arguments.size}", text)


def run_variant(variant: Variant, config: RunConfig, run_dir: Path, population: Path, training: int = 0) -> None:
    """Train a variant, with the stages that all share made once beside it and linked into its own run.

    `training` counts the trainings of its own stages behind the same shared ones; each has another seed.
    """
    common = run_dir.parent / "shared_1"
    train(config, common, population, print, SHARED)
    own_slices = replace(config, reference=replace(config.reference, count=variant.references))
    if variant.schedule:
        # The published schedule learns the whole slice, the fast one a crop around the tumour.
        crop_px = None if variant.schedule == "paper" else ReferenceConfig().crop_px
        own_slices = replace(
            own_slices,
            reference=replace(own_slices.reference, crop_px=crop_px),
            harmoniser=scheduled(config.harmoniser, variant.schedule),
        )
    if own_slices != config:
        first, common = common, run_dir.parent / f"shared_{variant.references}_{own_slices.harmoniser.schedule}"
        link(first, common, (PREPARE, CYCLEGAN, SEGMENTER))
        config = own_slices
        train(config, common, population, print, SHARED)
    link(common, run_dir, SHARED)
    own = replace(
        config.transfer,
        intensity=variant.intensity,
        blending=variant.blending,
        level=config.transfer.level if variant.injects else None,
    )
    train(replace(config, transfer=own, seed=config.seed + 1000 * training), run_dir, population, print, OWN)


def contrast_in_b_prime(run_dir: Path, edition: Edition) -> float:
    """Mean contrast-to-noise ratio of the tumours in B', as `vestibule train evidence` has it."""
    rows = [
        row
        for case in read_cases(run_dir, "source", TRANSFER)
        for row in contrast_rows(
            case.name,
            {"B'": np.asarray(case.image)},
            np.asarray(case.labels),
            float(np.prod(case.spacing_zyx)),
            edition,
        )
    ]
    return mean(row.cnr for row in rows if row.structure == "vs")


def report(
    scores: dict[str, list[list[Row]]], contrasts: dict[str, list[float]], config: RunConfig, trainings: int = 1
) -> list[str]:
    """The section: a line a variant, with its difference to what it builds on. Runs are in order of seed, training."""
    means = {name: averaged(runs) for name, runs in scores.items()}
    rows = []
    for name, runs in scores.items():
        summary = summarise([row for rows in runs for row in rows])["vs"]
        base = VARIANTS[name].matches or "none"
        difference = _difference(means[base], means[name]) if base in means and base != name else ""
        dice = [summarise(rows)["vs"]["dice"]["mean"] for rows in runs]
        each = " ".join(f"{mean(dice[n : n + trainings]):.2f}" for n in range(0, len(dice), trainings))
        rows.append(
            (
                *(name, f"{mean(contrasts[name]):+.2f}", spread(summary["dice"]), str(summary["dice"]["over_0_8"])),
                *(spread(summary["assd_mm"]), each, difference),
            )
        )
    header = ("into B'", "contrast in B'", "VS Dice", "> 0.8", "VS ASSD (mm)", "Dice by seed", "difference (95 %)")
    cases = len({row["case"] for row in next(iter(means.values()))})
    seeds = len(next(iter(scores.values()))) // trainings
    return [
        f"{cases} unseen T2 phantoms, {seeds} seed(s), {trainings} training(s) of each. n* = "
        f"{config.transfer.level}. The difference in VS Dice is that of the means over all trainings, paired "
        "by case, to the same copy without SinGAN, or else to no copy.",
        "",
        TextTable(header, tuple(rows), names=1).markdown,
    ]


def _difference(first: list[Row], second: list[Row]) -> str:
    found = next(item for item in compare(first, second) if (item["structure"], item["metric"]) == ("vs", "dice"))
    low, high = found["interval_95"]
    return f"{found['difference']:+.3f} ({low:+.3f} to {high:+.3f})"


def parse() -> argparse.Namespace:
    """The command line."""
    parser = experiment_parser(__doc__, PAGE)
    parser.add_argument("--trainings", type=int, default=1, help="of transfer and pix2pix, behind what a seed shares")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="may be given several times")
    return parser.parse_args()


if __name__ == "__main__":
    main()
