"""Unseen T2 with the masks of several arms beside each other: a row a case, a column an arm.

    python studies/arms_picture.py IMAGES REFERENCES sheet.png --arm baseline=MASKS --arm blending=MASKS

Without `--case`, the cases are those at which the last arm's Dice of the tumour is largest, in the middle and smallest.
Every column shows the same slice, the one with most of the reference's tumour, and the same third of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from evaluation.images import find_images
from evaluation.metrics import MaskPair
from evaluation.metrics.dice import DICE
from evaluation.reporting.colours import pens_of
from evaluation.reporting.marks import legend_lines, outline
from evaluation.reporting.pictures import WINDOW, part_around
from evaluation.reporting.views import main_structure, on_grid
from evaluation.scoring.cases import AlignedPair, join_cases, read_pair
from vestibule.editions import TUMOUR, Edition, get_edition
from vestibule.errors import InputError
from vestibule.files import atomic
from vestibule.volume import Volume, reorient

CELL_INCHES = 2.2

Masks = dict[str, dict[str, AlignedPair]]
"""By arm and case: labels of reference and mask on one grid."""


def main() -> None:
    """Write the sheet."""
    arguments = parse()
    edition = get_edition(arguments.edition)
    try:
        masks = {}
        for told in arguments.arm:
            name, _, folder = told.partition("=")
            joined = join_cases(Path(folder), arguments.references, edition)
            masks[name] = {pair.case: read_pair(pair, edition) for pair in joined.pairs}
        images = find_images(arguments.images, edition)
        cases = arguments.case or told_cases(masks, edition)
        shown = {case: images.by_case[case] for case in cases}
        save_sheet(arguments.out, shown, masks, edition)
    except InputError as error:
        raise SystemExit(f"arms_picture: error: {error}") from error
    except KeyError as error:
        raise SystemExit(f"arms_picture: error: no image or mask of case {error}") from error


def told_cases(masks: Masks, edition: Edition) -> list[str]:
    """The cases with the largest, the middle and the smallest Dice of the last arm, of those that have a tumour."""
    last = list(masks.values())[-1]
    scored = []
    for case, pair in last.items():
        if edition.mask_of(pair.reference, TUMOUR).any():
            scored.append((dice_of(pair, edition), case))
    scored.sort(reverse=True)
    places = sorted({0, len(scored) // 2, len(scored) - 1})
    return [scored[place][1] for place in places]


def dice_of(pair: AlignedPair, edition: Edition) -> float:
    """Dice of the tumour."""
    mask = edition.mask_of(pair.prediction, TUMOUR)
    expected = edition.mask_of(pair.reference, TUMOUR)
    return DICE.value(MaskPair(mask, expected, pair.geometry))


def save_sheet(path: Path, images: dict[str, Path], masks: Masks, edition: Edition) -> None:
    """Write the sheet as PNG.

    Args:
        path: The file.
        images: T2 of the cases that are shown.
        masks: Of each arm, a column each.
        edition: What labels mean.
    """
    pens = pens_of(edition)
    figure = Figure(
        figsize=(CELL_INCHES * len(masks), CELL_INCHES * len(images) + 0.4),
        layout="constrained",
        facecolor="white",
    )
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(images), len(masks), squeeze=False)
    for row, (case, image_path) in zip(rows, images.items(), strict=True):
        for axes, (arm, pairs) in zip(row, masks.items(), strict=True):
            pair = pairs[case]
            image, reference, mask = turned(image_path, pair)
            tumour = main_structure(reference, reference, edition)
            index = int(tumour.sum(axis=(1, 2)).argmax())
            box = part_around(tumour[index])
            low, high = np.percentile(image[index], WINDOW)

            axes.imshow(image[index][box], cmap="gray", vmin=low, vmax=high)
            outline(axes, reference[index][box], pens, of_reference=True)
            outline(axes, mask[index][box], pens, of_reference=False)
            axes.set_title(f"{arm} {dice_of(pair, edition):.2f}", fontsize=8)
            axes.set_axis_off()
        row[0].text(-0.04, 0.5, case, transform=row[0].transAxes, rotation=90, fontsize=7, va="center", ha="right")

    lines = legend_lines(pens)
    figure.legend(handles=lines, loc="outside lower center", ncols=min(4, len(masks)), fontsize=7, frameon=False)
    with atomic(path) as partial:
        figure.savefig(partial, dpi=110)


def turned(image_path: Path, pair: AlignedPair) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, reference and mask (Z, Y, X) as radiologists look at them."""
    image = on_grid(image_path, pair.geometry)
    found = []
    for voxels in (image, pair.reference, pair.prediction):
        volume = reorient(Volume(voxels, pair.geometry), "LPS")
        found.append(volume.voxels)
    return found[0], found[1], found[2]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of T2 images")
    parser.add_argument("references", type=Path, help="folder of references")
    parser.add_argument("out", type=Path, help="the PNG")
    parser.add_argument("--arm", action="append", required=True, help="NAME=FOLDER of masks; in the order of columns")
    parser.add_argument("--case", action="append", help="a case to show; may be given several times")
    parser.add_argument("--edition", type=int, default=2021, help="the challenge's year")
    return parser.parse_args()


if __name__ == "__main__":
    main()
