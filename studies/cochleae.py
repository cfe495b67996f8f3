"""Where do cochleae lie in translations, in masks of real T2, and where does fitting put them? In mm, by references.

    python studies/cochleae.py runs/arms/seed_0/blending_fitted

For a run whose T2 training images have references, as phantoms do, and whose arm `blending` has fitted cochleae. A line
each, x, y and z to the midline, to the back and to the head, both sides of the head as one:

- synthetic T2: the mean ear around the labels of T1, registered to the mean ear of real T2 around its references;
- T1: the same of T1 itself;
- masks of round 0 as its network found them, and fitted: middles of cochleae less those of the references.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from training.data.intermediates import TO_TARGET, Translators
from training.data.slices import PreparedCase, read_cases
from training.pseudo_labels.ears import AIR, Pose, in_frame, middle_on
from training.pseudo_labels.fitting import FOLDER, ears_of
from training.pseudo_labels.round import LABELS
from training.stage_table import CYCLEGAN, SELF_TRAINING
from training.stages.self_training import ROUND
from vestibule.editions import COCHLEA, Edition, get_edition
from vestibule.errors import InputError

Middles = dict[tuple[str, bool], np.ndarray]
"""Middle of each cochlea (x, y, z) in mm, by case and side."""


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run of the arm blending")
    parser.add_argument("--edition", type=int, default=2021, help="the challenge's year")
    arguments = parser.parse_args()
    edition = get_edition(arguments.edition)
    try:
        told(arguments.run, edition)
    except InputError as error:
        raise SystemExit(f"cochleae: error: {error}") from error


def told(run_dir: Path, edition: Edition) -> None:
    """Print the lines of a run."""
    sources = read_cases(run_dir, "source")
    targets = [case for case in read_cases(run_dir, "target") if case.label_path]
    if not targets:
        raise InputError(f"{run_dir}: its T2 training images have no references")
    translators = Translators(run_dir)
    real = mean_ear(targets, [np.asarray(case.image) for case in targets], edition)

    images = [np.asarray(case.image, dtype=np.float32) for case in sources]
    synthetic = [translators(CYCLEGAN, TO_TARGET, image) for image in images]
    for title, shown in (("synthetic T2", synthetic), ("T1", images)):
        middle = middle_on(mean_ear(sources, shown, edition), real)
        print(f"{title}, mean ear on that of real T2: {in_words(np.array(middle.centre_xyz))}")

    expected = middles_of(targets, edition)
    for folder in (LABELS, FOLDER):
        place = SELF_TRAINING.folder(run_dir) / f"{ROUND}0" / folder
        masked = [replace(case, label_path=place / f"{case.name}.npy") for case in targets]
        found = middles_of(masked, edition)
        apart = [found[key] - expected[key] for key in found if key in expected]
        spread = in_words(np.std(apart, axis=0))
        print(f"{folder} of round 0 less references: {in_words(np.mean(apart, axis=0))}, spread {spread}")


def mean_ear(cases: Sequence[PreparedCase], images: Sequence[np.ndarray], edition: Edition) -> np.ndarray:
    """Mean of images around the middles of the cochleae in the cases' labels, in the frame of ears (Z, Y, X)."""
    shown = []
    for case, image in zip(cases, images, strict=True):
        mask = edition.mask_of(case.labels, COCHLEA)
        for place in ears_of(mask, image, case.spacing_zyx):
            shown.append(in_frame(place.ear.image, Pose(place.ear.centre_xyz), AIR))
    return np.mean(shown, axis=0)


def middles_of(cases: Sequence[PreparedCase], edition: Edition) -> Middles:
    """Middles of the cochleae in the cases' labels."""
    found: Middles = {}
    for case in cases:
        mask = edition.mask_of(case.labels, COCHLEA)
        for place in ears_of(mask, mask, case.spacing_zyx):
            found[case.name, place.mirrored] = np.array(place.ear.centre_xyz)
    return found


def in_words(values_xyz: np.ndarray) -> str:
    """Three numbers, mm."""
    return " ".join(f"{value:+.2f}" for value in values_xyz)


if __name__ == "__main__":
    main()
