"""What goes into B', and what each is worth: variants of the transfer, each with its own pix2pix, on unseen phantoms.

    python studies/ablation.py --config configs/phantom.yaml --out runs/ablation                     3 seeds
    python studies/ablation.py --config configs/phantom.yaml --out runs/ablation --trainings 4       4 of each seed
    python studies/ablation.py --config configs/phantom.yaml --out runs/tiny --size tiny

Phantoms, CycleGAN, SinGAN and segmenter of a seed are shared: only `transfer` and `pix2pix` differ. These two can be
trained several times behind what a seed shares, by other seeds of their own, so that chance in them averages out. The
variants are lines of `VARIANTS`; `--only` names some of them. A killed run goes on where it stopped. The section with
the numbers is printed and written to `results.md` below `--out`; `--page docs/results.md` puts it there too.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean

import numpy as np
from experiment import (
    averaged,
    dice_difference,
    experiment_parser,
    link,
    make_population,
    provenance,
    publish,
    score_arm,
    sized,
    train,
)

from evaluation.reporting.table import TextTable, spread
from evaluation.scoring.scores import Row, summarise
from training.arms import BASELINE, ONESHOT
from training.config import ReferenceConfig, RunConfig, read_config, scheduled
from training.data.slices import read_cases
from training.diagnostics.contrast import contrast_rows
from training.stage_table import CYCLEGAN, EXPORT, HARMONISER, PIX2PIX, PREPARE, SEGMENTER, TRANSFER
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.files import write_json

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
    """Train, score, print and write the section."""
    arguments = parse()
    try:
        base = sized(read_config(arguments.config), arguments.size)
    except InputError as error:
        raise SystemExit(f"ablation: error: {error}") from error
    config = replace(base, arms=(BASELINE.name, ONESHOT.name))
    edition = get_edition(config.edition)
    names = arguments.only or list(VARIANTS)
    population = arguments.out / "population"
    make_population(config, population, print)

    scores: dict[str, list[list[Row]]] = {name: [] for name in names}
    contrasts: dict[str, list[float]] = {name: [] for name in names}
    run_dirs = []
    seeds = range(config.seed, config.seed + arguments.seeds)
    for seed, training in product(seeds, range(arguments.trainings)):
        own = replace(config, seed=seed)
        for name in names:
            run_dir = arguments.out / f"seed_{seed}" / folder_of(name, training)
            run_variant(VARIANTS[name], own, run_dir, population, training)
            scores[name].append(score_arm(run_dir, ONESHOT.name, edition))
            contrasts[name].append(contrast_in_b_prime(run_dir, edition))
            run_dirs.append(run_dir)
    write_json(arguments.out / "scores.json", scores, indent=1)

    title = f"## What goes into B', {arguments.size} size"
    section = report(scores, contrasts, config, arguments.trainings)
    lines = [title, "", *section, "", *provenance(run_dirs)]
    publish(lines, f"ablation {arguments.size}", arguments.out, arguments.page)


def folder_of(variant: str, training: int) -> str:
    """Name of the folder of a variant's run; the first training has no number."""
    name = variant.replace(", ", "_").replace(" ", "_")
    return f"{name}_{training}" if training else name


def run_variant(variant: Variant, config: RunConfig, run_dir: Path, population: Path, training: int = 0) -> None:
    """Train a variant, with the stages that all share made once beside it and linked into its own run.

    Args:
        variant: What goes into B'.
        config: Of the seed, as all variants have it.
        run_dir: Folder of the variant's run.
        population: Folder of the run that made the phantoms.
        training: Counts the trainings of the variant's own stages behind the same shared ones; each has another seed.
    """
    common = run_dir.parent / "shared_1"
    train(config, common, population, print, SHARED)

    own = with_slices_of(variant, config)
    if own != config:
        # Another one-shot model: what does not depend on it is linked, so that it alone is trained.
        first, common = common, run_dir.parent / f"shared_{variant.references}_{own.harmoniser.schedule}"
        link(first, common, (PREPARE, CYCLEGAN, SEGMENTER))
        train(own, common, population, print, SHARED)
    link(common, run_dir, SHARED)

    transfer = replace(
        config.transfer,
        intensity=variant.intensity,
        blending=variant.blending,
        level=config.transfer.level if variant.injects else None,
    )
    # The seed of what is shared is the configuration's; a thousand apart, no two trainings meet.
    own = replace(own, transfer=transfer, seed=config.seed + 1000 * training)
    train(own, run_dir, population, print, OWN)


def with_slices_of(variant: Variant, config: RunConfig) -> RunConfig:
    """`config` with the reference slices and the schedule of a variant; itself where these are its own."""
    reference = replace(config.reference, count=variant.references)
    if not variant.schedule:
        return replace(config, reference=reference)
    # The published schedule learns the whole slice, the fast one a crop around the tumour.
    crop_px = None if variant.schedule == "paper" else ReferenceConfig().crop_px
    return replace(
        config,
        reference=replace(reference, crop_px=crop_px),
        harmoniser=scheduled(config.harmoniser, variant.schedule),
    )


def contrast_in_b_prime(run_dir: Path, edition: Edition) -> float:
    """Mean contrast-to-noise ratio of the tumours in B', as `vestibule train evidence` has it."""
    ratios = []
    for case in read_cases(run_dir, "source", TRANSFER):
        images = {"B'": np.asarray(case.image)}
        labels = np.asarray(case.labels)
        voxel_mm3 = float(np.prod(case.spacing_zyx))
        for row in contrast_rows(case.name, images, labels, voxel_mm3, edition):
            if row.structure == TUMOUR:
                ratios.append(row.cnr)
    return mean(ratios)


def report(
    scores: dict[str, list[list[Row]]], contrasts: dict[str, list[float]], config: RunConfig, trainings: int = 1
) -> list[str]:
    """The section: a line a variant, with its difference to what it builds on.

    Args:
        scores: Rows of every run of a variant, in order of seed, then training.
        contrasts: Contrast of the tumours in B' in the same order.
        config: As all variants have it.
        trainings: Of each seed.

    Returns:
        Lines in Markdown.
    """
    means = {name: averaged(runs) for name, runs in scores.items()}
    rows = []
    for name, runs in scores.items():
        pooled = [row for run in runs for row in run]
        summary = summarise(pooled)[TUMOUR]
        base = VARIANTS[name].matches or "none"
        difference = ""
        if base in means and base != name:
            difference = dice_difference(means[base], means[name])

        dice = [summarise(run)[TUMOUR]["dice"]["mean"] for run in runs]
        by_seed = [mean(dice[first : first + trainings]) for first in range(0, len(dice), trainings)]
        cells = (
            name,
            f"{mean(contrasts[name]):+.2f}",
            spread(summary["dice"]),
            str(summary["dice"]["over_0_8"]),
            spread(summary["assd_mm"]),
            " ".join(f"{value:.2f}" for value in by_seed),
            difference,
        )
        rows.append(cells)
    header = ("into B'", "contrast in B'", "VS Dice", "> 0.8", "VS ASSD (mm)", "Dice by seed", "difference (95 %)")
    table = TextTable(header, tuple(rows), names=1)

    cases = len({row["case"] for row in next(iter(means.values()))})
    seeds = len(next(iter(scores.values()))) // trainings
    return [
        f"{cases} unseen T2 phantoms, {seeds} seed(s), {trainings} training(s) of each. n* = "
        f"{config.transfer.level}. The difference in VS Dice is that of the means over all trainings, paired "
        "by case, to the same copy without SinGAN, or else to no copy.",
        "",
        table.markdown,
    ]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = experiment_parser(__doc__)
    parser.add_argument("--trainings", type=int, default=1, help="of transfer and pix2pix, behind what a seed shares")
    parser.add_argument("--only", action="append", choices=list(VARIANTS), help="may be given several times")
    return parser.parse_args()


if __name__ == "__main__":
    main()
