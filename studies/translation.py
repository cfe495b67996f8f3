"""What a run's translators make of heads whose other contrast is known: error, shift, and what S_A sees in it.

    python studies/translation.py runs/demo                                24 heads that are in no population
    python studies/translation.py runs/table1/seed_* --config configs/phantom.yaml

Renders T1 and T2 of the same heads on the same grid, by the configuration's phantoms. For each translator of each run:
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
from training.arms import ARMS, BASELINE, Translator
from training.config import read_config
from training.data.intermediates import Translators
from training.gan.alignment import shift_between
from training.parallel import side_by_side
from training.phantom.anatomy import make_patient
from training.phantom.cases import plan_cases
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.scanner import sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from training.stage_table import CYCLEGAN, EXPORT, Stage
from training.stages.prepare import FOREGROUND
from vestibule.editions import get_edition
from vestibule.pipeline import Model, load_model
from vestibule.preprocessing import PreprocessingConfig, mask_to_working, scale_to_unit, to_working
from vestibule.resampling import resample
from vestibule.volume import reorient

Measures = tuple[float | None, ...]
"""Error, rows, columns, Dice of tumour and of cochlea of one head; None where there is no such thing."""
FORMATS = (".3f", "+.2f", "+.2f", ".2f", ".2f")
CONFIG = Path(__file__).resolve().parents[1] / "configs" / "phantom.yaml"


@dataclass(frozen=True)
class Pair:
    """T1 and T2 of one head in [-1, 1], and its labels, all (Z, Y, X) on the working grid of the T2."""

    t1: np.ndarray
    t2: np.ndarray
    labels: np.ndarray
    spacing_zyx: tuple[float, float, float]


def main() -> None:
    """Print a table for each run."""
    arguments = parse()
    config = read_config(arguments.config)
    if config.phantom is None:
        raise SystemExit(f"translation: error: {arguments.config}: makes no phantoms, whose other contrast is known")
    phantom = replace(config.phantom, cases=arguments.pairs, seed=arguments.seed, edition=config.edition)
    jobs = [(number, phantom, config.prepare) for number in range(arguments.pairs)]
    pairs = side_by_side(render_pair, jobs)
    for run in arguments.runs:
        print(f"\n{run}\n\n| image | error | rows | columns | VS Dice | cochlea Dice |\n|---|---|---|---|---|---|")
        for name, values in measure(run, pairs).items():
            print(f"| {name} | {' | '.join(means(values))} |")


def means(rows: list[Measures]) -> list[str]:
    """The mean of each column over the heads that have it, as text; empty where none has."""
    cells = []
    for form, column in zip(FORMATS, zip(*rows, strict=True), strict=True):
        known = [value for value in column if value is not None]
        cells.append(f"{np.mean(known):{form}}" if known else "")
    return cells


def render_pair(number: int, config: PhantomConfig, region: PreprocessingConfig) -> Pair:
    """Both contrasts of a target case of `config`, T1 with the geometry of the T2."""
    targets = [case for case in plan_cases(config) if case.domain == "target"]
    case = targets[number]
    # The streams of the population's own cases, so that these heads are like its.
    streams = np.random.SeedSequence(case.seed).spawn(3)
    anatomy, grid, scan = map(np.random.default_rng, streams)
    patient = make_patient(config, anatomy)
    t2_protocol = sample_protocol(case.site, "T2", grid)
    t1_protocol = sample_protocol(case.site, "ceT1", grid)
    geometry = sample_geometry(t2_protocol, config, grid)
    t2, label = render(patient, SEQUENCES[t2_protocol.sequence], geometry, scan)
    t1, _ = render(patient, SEQUENCES[t1_protocol.sequence], geometry, scan)

    working = to_working(t2, region)
    other = resample(reorient(t1), working.geometry)
    return Pair(
        scale_to_unit(other.voxels, region.percentiles),
        working.voxels,
        mask_to_working(label, working.geometry),
        working.geometry.spacing_zyx,
    )


def measure(run: Path, pairs: list[Pair]) -> dict[str, list[Measures]]:
    """By image: error, rows, columns, Dice of tumour and cochlea of every pair; None where there is no such thing."""
    model = load_model(EXPORT.folder(run) / "bundle", BASELINE.name)
    translators = Translators(run)
    backwards = trained_translators(run)
    rows: dict[str, list[Measures]] = {}
    for pair in pairs:
        itself = segmented(model, pair.t1, pair)
        rows.setdefault("T1 itself", []).append((None, None, None, *itself))

        synthetic = translators(CYCLEGAN, "source_to_target", pair.t1)
        likeness = compared(synthetic, pair.t2, pair.t1)
        rows.setdefault(f"T1 -> T2, {title_of(CYCLEGAN)}", []).append((*likeness, None, None))

        for translator in backwards:
            synthetic = translators(translator.stage, translator.file, pair.t2)
            likeness = compared(synthetic, pair.t1, pair.t2)
            found = segmented(model, synthetic, pair)
            rows.setdefault(f"T2 -> T1, {title_of(translator.stage)}", []).append((*likeness, *found))
    return rows


def trained_translators(run: Path) -> list[Translator]:
    """T2 -> T1 generators that a run has, of whichever arms."""
    found = []
    for arm in ARMS.values():
        translator = arm.translator
        if translator is None or translator in found:
            continue
        weights = translator.stage.folder(run) / f"{translator.file}.safetensors"
        if weights.is_file():
            found.append(translator)
    return found


def title_of(stage: Stage) -> str:
    """How the table calls the networks of a stage."""
    return "CycleGAN" if stage == CYCLEGAN else stage.name


def compared(synthetic: np.ndarray, true: np.ndarray, made_from: np.ndarray) -> tuple[float, float, float]:
    """Mean absolute error in the head, and rows and columns of shift, of images (Z, Y, X)."""
    in_head = true > FOREGROUND
    error = np.abs(synthetic - true)[in_head].mean()
    before = torch.from_numpy(made_from)[:, None]  # (Z, 1, Y, X): slices as a batch
    after = torch.from_numpy(synthetic)[:, None]
    rows, columns = shift_between(before, after)
    return float(error), rows, columns


def segmented(model: Model, image: np.ndarray, pair: Pair) -> tuple[float | None, float | None]:
    """Dice of tumour and cochlea in a T1 (Z, Y, X); None where the head has no tumour."""
    edition = get_edition(model.edition)
    probabilities = model.segmenter.probabilities(image, pair.spacing_zyx)  # (labels, Z, Y, X)
    mask = probabilities.argmax(axis=0)
    scores = []
    for structure in ("vs", "cochlea"):
        true = edition.mask_of(pair.labels, structure)
        found = edition.mask_of(mask, structure)
        scores.append(dice(found, true) if true.any() else None)
    tumour, cochlea = scores
    return tumour, cochlea


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=4242, help="another one than the runs' own")
    return parser.parse_args()


if __name__ == "__main__":
    main()
