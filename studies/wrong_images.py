"""How often does a prediction warn? Of T2 images as they are, and of images made wrong from them.

    python studies/wrong_images.py IMAGES...                                what `screen_image` names
    python studies/wrong_images.py IMAGES... --weights weights/phantom      also what `screen_labels` names of the masks

Names tell T1 from T2, as `vestibule.editions` has it; T1 images are wrong as they are. Of each T2 image, further wrong
ones are made: noise, its voxels shuffled, its intensities inverted, and its uppermost and lowest slices alone. Prints
how many of how many were named: by the image, by the mask, and by either.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vestibule.editions import case_of_image, get_edition
from vestibule.pipeline import Model, load_model
from vestibule.screening import inside_head, screen_image, screen_labels
from vestibule.volume import Volume, read_scan

SLICES = 8
"""That many slices are left of an image whose ears are cut off, a quarter of a phantom's."""


def main() -> None:
    """Look at every image, print a row for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, help="Bundle whose masks are looked at, too.")
    arguments = parser.parse_args()
    model = load_model(arguments.weights) if arguments.weights else None

    counts: dict[str, np.ndarray] = {}
    generator = np.random.default_rng(0)
    for path in arguments.images:
        _, contrast = case_of_image(path)
        for kind, image in variants(read_scan(path), contrast or "T2", generator):
            found = np.array([1, *named(image, model)])
            counts[kind] = counts.get(kind, 0) + found
    print("| image | how many | named by the image | by the mask | by either |\n|---|---|---|---|---|")
    for kind, found in counts.items():
        by_mask = found[2] if model else "-"
        print(f"| {kind} | {found[0]} | {found[1]} | {by_mask} | {found[3]} |")


def variants(image: Volume, contrast: str, generator: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """An image as it is, and where it is T2 the wrong ones that are made of it, each with its kind."""
    yield contrast, image
    if contrast != "T2":
        return
    voxels = image.voxels.astype(np.float32)
    noise = np.abs(generator.normal(0, 100, voxels.shape)).astype(np.float32)
    yield "noise", image.with_voxels(noise)
    shuffled = generator.permutation(voxels.ravel()).reshape(voxels.shape)
    yield "shuffled", image.with_voxels(shuffled)
    yield "inverted", image.with_voxels(voxels.max() - voxels)

    depth, rows, columns = voxels.shape
    for kind, slices in (("lowest slices", slice(0, SLICES)), ("uppermost slices", slice(depth - SLICES, depth))):
        yield kind, image.part((slices, slice(0, rows), slice(0, columns)))


def named(image: Volume, model: Model | None) -> tuple[bool, bool, bool]:
    """Whether something speaks against an image, against the mask that a model makes of it, against either."""
    by_image = bool(screen_image(image))
    by_mask = False
    if model is not None:
        reasons, _ = screen_labels(model.run(image), get_edition(model.edition), inside_head(image))
        by_mask = bool(reasons)
    return by_image, by_mask, by_image or by_mask


if __name__ == "__main__":
    main()
