"""What fitting makes of tumours' masks that are right, too small, too large or moved by a voxel, on the T2 of a run.

    vestibule train prepare --config configs/phantom.yaml --run runs/fitted
    python studies/fitted_tumours.py runs/fitted

    vestibule train prepare --config heads.yaml --run runs/heads --data DATA
    python studies/fitted_tumours.py runs/heads

The references of the prepared T2 training images are spoilt in plane, and then fitted as `self_training.fit_tumours`
does it with the masks of a network. For each way to spoil them: Dice and volume of the spoilt mask, and of the fitted
one, as means over tumours. A reference that is not spoilt tells how far fitting leads away from it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

from evaluation.metrics import dice
from training.data.slices import PreparedCase, read_cases
from training.harmonisers.compositing import IN_PLANE_CROSS
from training.pseudo_labels.tumours import fit_tumours
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError

Spoil = Callable[[np.ndarray], np.ndarray]
SPOILT: dict[str, Spoil] = {
    "as it is": lambda tumour: tumour,
    "a voxel less all around": lambda tumour: ndimage.binary_erosion(tumour, IN_PLANE_CROSS),
    "a voxel more all around": lambda tumour: ndimage.binary_dilation(tumour, IN_PLANE_CROSS),
    "moved by a row": lambda tumour: np.roll(tumour, 1, axis=1),
    "moved by a column": lambda tumour: np.roll(tumour, 1, axis=2),
}
"""Boolean masks (Z, Y, X) made of the reference's tumour."""


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run whose stage prepare is done; its T2 have references")
    parser.add_argument("--edition", type=int, default=2021)
    arguments = parser.parse_args()
    edition = get_edition(arguments.edition)
    try:
        cases = [case for case in read_cases(arguments.run, "target") if case.label_path is not None]
    except InputError as error:
        raise SystemExit(f"fitted_tumours: error: {error}") from error
    if not cases:
        raise SystemExit(f"fitted_tumours: error: {arguments.run}: no T2 training image has a reference")

    print("| reference | tumours | Dice | Dice, fitted | volume | volume, fitted |\n|---|---|---|---|---|---|")
    for words, spoil in SPOILT.items():
        found = np.array(measured(cases, spoil, edition))
        overlap, fitted_overlap, volume, fitted_volume = found.mean(axis=0)
        print(f"| {words} | {len(found)} | {overlap:.2f} | {fitted_overlap:.2f} | {volume:.2f} | {fitted_volume:.2f} |")


def measured(cases: list[PreparedCase], spoil: Spoil, edition: Edition) -> list[tuple[float, float, float, float]]:
    """Dice of the spoilt and the fitted mask, then their volumes as shares, of each tumour that is left by `spoil`."""
    references = []
    masks = []
    seen = []
    for case in cases:
        labels = np.array(case.labels)
        reference = edition.mask_of(labels, TUMOUR)
        spoilt = spoil(reference)
        if spoilt.any():
            seen.append(case)
            references.append(reference)
            masks.append(np.where(spoilt, edition.structures[TUMOUR][0], 0).astype(np.uint8))

    found = []
    for reference, mask, fitted in zip(references, masks, fit_tumours(seen, masks, edition), strict=True):
        before = edition.mask_of(mask, TUMOUR)
        after = edition.mask_of(fitted, TUMOUR)
        size = reference.sum()
        found.append((dice(before, reference), dice(after, reference), before.sum() / size, after.sum() / size))
    return found


if __name__ == "__main__":
    main()
