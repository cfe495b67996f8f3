"""Are labels of T1 true of the synthetic T2 that is made of it? A segmenter of real T2 is the judge.

    python studies/fidelity.py runs/arms/seed_0/blending --judge runs/arms/seed_0/supervised
    python studies/fidelity.py runs/arms/seed_0/blending runs/arms/seed_0/blending_head --judge ...

The judge is the arm `supervised` of a run, which was trained on labelled T2. For each run, the labelled T1 cases are
translated by its CycleGAN, the judge segments the result, and its masks are held against the labels: Dice, and volume
as a share of the label's. A structure that the translation makes too small has a share below 1: a segmenter that is
trained on such images learns that a structure is larger than it looks. Above these stands what the judge makes of the
T2 that it was trained on. No arm but `supervised` reads a label of T2.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

import numpy as np

from evaluation.metrics import dice
from evaluation.reporting.table import TextTable
from training.arms import UPPER_BOUND
from training.data.intermediates import Translators
from training.data.slices import PreparedCase, read_cases
from training.stage_table import CYCLEGAN, EXPORT
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.pipeline import Model, load_model
from vestibule.progress import track

Judged = dict[str, list[tuple[float, float]]]
"""By structure: Dice, and volume as a share of the label's, of each case that has the structure."""
COLUMNS = ("image", "cases", "VS Dice", "VS volume", "cochlea Dice", "cochlea volume")


def main() -> None:
    """Print the table."""
    arguments = parse()
    try:
        model = load_model(EXPORT.folder(arguments.judge) / "bundle", UPPER_BOUND.name)
        rows = [row("real T2, of its own training", judge(model, real(arguments.judge)))]
        for run in arguments.runs:
            rows.append(row(f"synthetic T2 of {run.name}", judge(model, synthetic(run))))
    except InputError as error:
        raise SystemExit(f"fidelity: error: {error}") from error
    print(TextTable(COLUMNS, tuple(rows), names=1).markdown)


def real(run_dir: Path) -> Iterable[tuple[np.ndarray, PreparedCase]]:
    """T2 training images of a run that have labels, (Z, Y, X), each with its case."""
    for case in read_cases(run_dir, "target"):
        if case.label_path is not None:
            yield np.asarray(case.image, dtype=np.float32), case


def synthetic(run_dir: Path) -> Iterable[tuple[np.ndarray, PreparedCase]]:
    """Synthetic T2 of the labelled T1 cases of a run, (Z, Y, X), each with its case."""
    translators = Translators(run_dir)
    for case in read_cases(run_dir, "source"):
        source = np.asarray(case.image, dtype=np.float32)
        yield translators(CYCLEGAN, "source_to_target", source), case


def judge(model: Model, images: Iterable[tuple[np.ndarray, PreparedCase]]) -> Judged:
    """What the judge's masks score against the labels.

    Args:
        model: The judge, which segments T2.
        images: T2 in [-1, 1] (Z, Y, X), and the cases whose labels it has.
    """
    edition = get_edition(model.edition)
    found: Judged = {}
    for image, case in track(list(images), "judge"):
        probabilities = model.segmenter.probabilities(image, case.spacing_zyx)  # (C, Z, Y, X)
        mask = probabilities.argmax(axis=0)
        for structure, scores in compared(mask, np.asarray(case.labels), edition).items():
            found.setdefault(structure, []).append(scores)
    return found


def compared(mask: np.ndarray, labels: np.ndarray, edition: Edition) -> dict[str, tuple[float, float]]:
    """Dice and share of the volume of each structure that the labels (Z, Y, X) have."""
    scores = {}
    for structure in edition.structures:
        own = edition.mask_of(mask, structure)
        true = edition.mask_of(labels, structure)
        if true.any():
            scores[structure] = (dice(own, true), float(own.sum() / true.sum()))
    return scores


def row(title: str, found: Judged) -> tuple[str, ...]:
    """Means of the Dice and medians of the volume's share."""
    cells = [title, str(max(map(len, found.values()), default=0))]
    for structure in ("vs", "cochlea"):
        scores = found.get(structure, [])
        if not scores:
            cells += ["", ""]
            continue
        overlaps, shares = zip(*scores, strict=True)
        cells += [f"{mean(overlaps):.3f}", f"{median(shares):.2f}"]
    return tuple(cells)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="runs with a finished CycleGAN")
    parser.add_argument("--judge", type=Path, required=True, help="a run that has the arm `supervised`")
    return parser.parse_args()


if __name__ == "__main__":
    main()
