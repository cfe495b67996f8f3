"""What a run's translators make of heads whose other contrast is known: error, shift, and what S_A sees in it.

    python studies/translation.py runs/demo                                24 heads that are in no population
    python studies/translation.py runs/table1/seed_* --config configs/phantom.yaml

Draws T1 and T2 of the same heads on the same grid, by the configuration's phantoms. For each translator of each run:
the mean absolute error in the head on [-1, 1]; by how many rows and columns of working voxels anatomy is shifted, by
the edges of the translation and of what it was made from; and the Dice of the segmenter on synthetic T1, beside that on
true T1, which is what would be reached if translation were perfect.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from evaluation.metrics import dice
from training.arms import BASELINE
from training.config import read_config
from training.data.intermediates import Translators
from training.gan.alignment import shift_between
from training.parallel import side_by_side
from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.population import plan_cases
from training.phantom.render import render
from training.phantom.scanner import sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from training.stage_table import CYCLEGAN, EXPORT, PIX2PIX
from training.stages.prepare import FOREGROUND
from vestibule.editions import get_edition
from vestibule.pipeline import Model, load_model
from vestibule.preprocessing import PreprocessingConfig, mask_to_working, scale_to_unit, to_working
from vestibule.resampling import resample
from vestibule.volume import reorient


@dataclass(frozen=True)
class Pair:
    """T1 and T2 of one head in [-1, 1], and its labels, all (Z, Y, X) on the working grid of the T2."""

    t1: np.ndarray
    t2: np.ndarray
    labels: np.ndarray
    spacing_zyx: tuple[float, float, float]


def main() -> None:
    """Print a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs")
    parser.add_argument("--config", type=Path, default=Path(__file__).resolve().parents[1] / "configs" / "phantom.yaml")
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=4242, help="another one than the runs' own")
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    phantom = replace(config.phantom, cases=arguments.pairs, seed=arguments.seed, edition=config.edition)
    pairs = side_by_side(draw_pair, [(number, phantom, config.prepare) for number in range(arguments.pairs)])
    for run in arguments.runs:
        print(f"\n{run}\n\n| image | error | rows | columns | VS Dice | cochlea Dice |\n|---|---|---|---|---|---|")
        for name, values in measure(run, pairs).items():
            columns = [[value for value in column if value is not None] for column in zip(*values, strict=True)]
            cells = (f"{np.mean(own):{form}}" if own else "" for own, form in zip(columns, FORMATS, strict=True))
            print(f"| {name} | {' | '.join(cells)} |")


FORMATS = (".3f", "+.2f", "+.2f", ".2f", ".2f")


def draw_pair(number: int, config: PhantomConfig, region: PreprocessingConfig) -> Pair:
    """Both contrasts of a target case of `config`, T1 with the geometry of the T2."""
    case = [case for case in plan_cases(config) if case.domain == "target"][number]
    anatomy, grid, scan = (np.random.default_rng(s) for s in np.random.SeedSequence(case.seed).spawn(3))
    patient = make_patient(config, anatomy)
    protocols = [sample_protocol(case.site, contrast, grid) for contrast in ("T2", "ceT1")]
    geometry = sample_geometry(protocols[0], config, grid)
    (t2, label), (t1, _) = (render(patient, SEQUENCES[own.sequence], geometry, scan) for own in protocols)
    working = to_working(t2, region)
    other = resample(reorient(t1), working.geometry)
    return Pair(
        scale_to_unit(other.voxels, region.percentiles),
        working.voxels,
        mask_to_working(label, working.geometry),
        working.geometry.spacing_zyx,
    )


def measure(run: Path, pairs: list[Pair]) -> dict[str, list[tuple[float | None, ...]]]:
    """By image: error, rows, columns, Dice of tumour and cochlea of every pair; None where there is no such thing."""
    model, translators = load_model(EXPORT.folder(run) / "bundle", BASELINE.name), Translators(run)
    arms = [("CycleGAN", CYCLEGAN, "target_to_source")]
    if (PIX2PIX.folder(run) / "generator.safetensors").is_file():
        arms.append((PIX2PIX.name, PIX2PIX, "generator"))
    rows: dict[str, list[tuple[float | None, ...]]] = {}
    for pair in pairs:
        rows.setdefault("T1 itself", []).append((None, None, None, *segmented(model, pair.t1, pair)))
        synthetic = translators(CYCLEGAN, "source_to_target", pair.t1)
        rows.setdefault("T1 -> T2, CycleGAN", []).append((*compared(synthetic, pair.t2, pair.t1), None, None))
        for name, stage, file in arms:
            synthetic = translators(stage, file, pair.t2)
            values = (*compared(synthetic, pair.t1, pair.t2), *segmented(model, synthetic, pair))
            rows.setdefault(f"T2 -> T1, {name}", []).append(values)
    return rows


def compared(synthetic: np.ndarray, true: np.ndarray, made_from: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute error in the head, and rows and columns of shift, of images (Z, Y, X)."""
    error = float(np.abs(synthetic - true)[true > FOREGROUND].mean())
    return error, *shift_between(torch.from_numpy(made_from)[:, None], torch.from_numpy(synthetic)[:, None])


def segmented(model: Model, image: np.ndarray, pair: Pair) -> tuple[float | None, float | None]:
    """Dice of tumour and cochlea in a T1 (Z, Y, X); None where the head has no tumour."""
    mask = model.segmenter.probabilities(image, pair.spacing_zyx).argmax(axis=0)
    structures = get_edition(model.edition).structures
    masks = [(np.isin(pair.labels, structures[name]), np.isin(mask, structures[name])) for name in ("vs", "cochlea")]
    return tuple(dice(found, true) if true.any() else None for true, found in masks)


if __name__ == "__main__":
    main()
