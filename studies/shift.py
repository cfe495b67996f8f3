"""Do masks lie beside what they are of? The mean way from each reference structure to the mask near it, in voxels.

    python studies/shift.py runs/demo/predictions/oneshot runs/demo/phantom/data/references/target_validation \\
        --edition 2021

Each connected part of a reference is compared by its middle with what the mask calls the same within four voxels. A
mean away from 0 that the spread over parts does not explain is a shift: of the translation, or of the grid.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage

from evaluation.scoring.cases import join_cases
from vestibule.editions import get_edition
from vestibule.volume import read_labels

NEAR = 4
LEAST = 9
"""Voxels of a part and of the mask near it, below which a middle says little."""


def main() -> None:
    """Print a line for each structure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("predictions", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--edition", type=int, default=2021)
    arguments = parser.parse_args()
    edition = get_edition(arguments.edition)
    ways: dict[str, list[np.ndarray]] = {name: [] for name in edition.structures}
    for pair in join_cases(arguments.predictions, arguments.references, edition).pairs:
        if pair.prediction_path is None:
            continue
        reference, mask = read_labels(pair.reference_path).voxels, read_labels(pair.prediction_path).voxels
        for name, values in edition.structures.items():
            ways[name] += shifts(np.isin(reference, values), np.isin(mask, values))
    for name, found in ways.items():
        if found:
            mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
            text = ", ".join(f"{axis} {m:+.2f} ± {s:.2f}" for axis, m, s in zip("zyx", mean, spread, strict=True))
            print(f"{name:8s} {text} voxels, {len(found)} parts")


def shifts(reference: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Voxels (z, y, x) from the middle of each part of `reference` to that of `mask` near it, both bool (Z, Y, X)."""
    parts, count = ndimage.label(reference, np.ones((3, 3, 3)))
    found = []
    for number in range(1, count + 1):
        part = parts == number
        near = ndimage.binary_dilation(part, iterations=NEAR) & mask
        if min(part.sum(), near.sum()) >= LEAST:
            found.append(np.subtract(ndimage.center_of_mass(near), ndimage.center_of_mass(part)))
    return found


if __name__ == "__main__":
    main()
