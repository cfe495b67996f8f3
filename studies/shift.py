"""Do masks lie beside what they are of, or are they larger or smaller than it? Means over the parts of structures.

    python studies/shift.py runs/demo/predictions/oneshot runs/demo/phantom/data/references/target_validation

Each connected part of a reference is compared with what the mask calls the same within four voxels: by its middle, in
voxels, and by its volume (median of the shares). A mean away from 0 that the spread over parts does not explain is a
shift: of the translation, or of the grid.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from evaluation.scoring.cases import edition_of_masks, join_cases
from vestibule.editions import get_edition
from vestibule.volume import read_labels

NEAR = 4
LEAST = 9
"""Voxels of a part and of the mask near it, below which a middle says little."""


class Compared(NamedTuple):
    """A part of a reference and the mask near it."""

    way: np.ndarray
    """Voxels (z, y, x) from the part's middle to the mask's."""
    share: float
    """Volume of the mask, as a share of the part's."""


def main() -> None:
    """Print a line for each structure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--edition", type=int, help="by default the one that the references' names tell")
    arguments = parser.parse_args()
    given = get_edition(arguments.edition) if arguments.edition else None
    edition = edition_of_masks(arguments.references, given)

    parts: dict[str, list[Compared]] = {name: [] for name in edition.structures}
    for pair in join_cases(arguments.predictions, arguments.references, edition).pairs:
        if pair.prediction_path is None:
            continue
        reference = read_labels(pair.reference_path).voxels  # (Z, Y, X)
        mask = read_labels(pair.prediction_path).voxels  # (Z, Y, X)
        for name, found in parts.items():
            expected = edition.mask_of(reference, name)
            predicted = edition.mask_of(mask, name)
            found += compared(expected, predicted)

    for name, found in parts.items():
        if not found:
            continue
        ways = [one.way for one in found]
        means = np.mean(ways, axis=0)
        spreads = np.std(ways, axis=0)
        words = []
        for axis, mean, spread in zip("zyx", means, spreads, strict=True):
            words.append(f"{axis} {mean:+.2f} ± {spread:.2f}")
        share = np.median([one.share for one in found])
        print(f"{name:8s} {', '.join(words)} voxels, volume x {share:.2f}, {len(found)} parts")


def compared(reference: np.ndarray, mask: np.ndarray) -> list[Compared]:
    """Each part of `reference` with what lies near it in `mask`, both bool (Z, Y, X)."""
    parts, count = ndimage.label(reference, np.ones((3, 3, 3)))
    found = []
    for number in range(1, count + 1):
        part = parts == number
        # What the mask has farther off belongs to another part, or is a mistake of another kind.
        around = ndimage.binary_dilation(part, iterations=NEAR)
        near = around & mask
        if min(part.sum(), near.sum()) < LEAST:
            continue
        expected = ndimage.center_of_mass(part)
        predicted = ndimage.center_of_mass(near)
        way = np.subtract(predicted, expected)
        found.append(Compared(way, float(near.sum() / part.sum())))
    return found


if __name__ == "__main__":
    main()
