"""Which level to harmonise at, without labels of B: patch statistics inside the tumour, as long as its shape is kept.

For every level of the harmoniser (SinGAN's are the scales n*), tumours of a few T1 cases go through the transfer. Two
numbers are taken inside their masks: `patches`, the sliced Wasserstein distance of the tumours' patches to those of the
reference slice's tumour, and `shape`, the share of the voxels along the inside of the mask's outline that are as bright
as that tumour: where the surroundings flow in, the mask no longer belongs to what it covers. Chosen is the level of the
smallest distance among those that keep `SHAPE_KEPT` of the best share. The first reference slice must show an outlined
tumour.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from training.config import RunConfig
from training.data.intermediates import Translators, copied_structures
from training.data.reference_slice import Reference
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.patches import patches_of, sliced_wasserstein
from training.harmonisers.compositing import composite, target_intensity
from training.harmonisers.fitted import load_harmonisers
from training.run_folder import read_outputs
from training.stage_table import CYCLEGAN, HARMONISER
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.progress import track

FOLDER = "sweep"
"""Folder within a run."""
CASES = 6
"""Cases that are tried, those with the largest tumours."""
SHAPE_KEPT = 0.9
BORDER_PX = 2
"""Width of the inside of the outline."""


@dataclass(frozen=True)
class TumourLook:
    """What the reference slice's tumour looks like."""

    patches: np.ndarray
    """(N, PATCH_PX²), around its pixels."""
    low: float
    """Below its 1st percentile by its standard deviation."""
    high: float
    """Above its 99th by as much."""


@dataclass(frozen=True)
class Trial:
    """What harmonisation at one level makes of one case's tumour."""

    level: int | None
    patches: float
    """Patch distance to the reference's tumour; NaN where no whole patch lies around a voxel of the tumour."""
    shape: float
    """Share of the inside of the outline that is as bright as that tumour."""


def sweep(config: RunConfig, run_dir: Path) -> list[Path]:
    """Transfer tumours at every level; writes `sweep/sweep.json`, with the choice, and the sheet `sweep/sweep.png`.

    Args:
        config: Its sections `transfer` and `edition`.
        run_dir: Folder of a run with prepared cases, a CycleGAN and harmonisers.

    Returns:
        Paths of the record and of the sheet.

    Raises:
        InputError: A stage before is missing, or the reference slice has no outlined tumour with a whole patch.
    """
    read_outputs(run_dir, HARMONISER)
    harmoniser, reference = load_harmonisers(run_dir)[0]
    levels = [None, *harmoniser.levels]
    look = look_of(reference)
    # `none` would put nothing in, and `poisson` would hide what a level makes of the intensities.
    settings = replace(config.transfer, blending="soft")
    target = target_intensity(settings, reference)
    edition = get_edition(config.edition)
    translators = Translators(run_dir)
    cases = largest_first(read_cases(run_dir, "source"))[:CASES]

    trials = []
    images: dict[int | None, list[np.ndarray]] = {level: [] for level in levels}
    outlines = []
    for case in track(cases, FOLDER):
        source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        mask = copied_structures(case.labels, settings.structures, edition)
        erased = translators(CYCLEGAN, "source_to_target", source)
        sections = mask.sum(axis=(1, 2))
        index = int(sections.argmax())
        outlines.append(mask[index])

        for level in levels:
            # Without noise, so that levels differ by nothing else.
            harmonise = harmoniser.at_level(level, None)
            result = composite(source, mask, erased, settings, target, harmonise)
            images[level].append(result.harmonised[index])
            patches, shape = measure(result.harmonised, mask, look)
            trial = Trial(level, patches, shape)
            trials.append(trial)

    # All numbers are written down, so that the choice can be made otherwise by eye.
    rows = [summary_of(level, trials) for level in levels]
    chosen = choose(rows)
    folder = run_dir / FOLDER
    record = folder / "sweep.json"
    content = {
        "chosen": chosen,
        "shape_kept": SHAPE_KEPT,
        "levels": rows,
    }
    write_json(record, content)

    columns = {}
    for row in rows:
        title = _title(row, chosen)
        columns[title] = images[row["level"]]
    sheet = folder / "sweep.png"
    names = [case.name for case in cases]
    save_sheet(sheet, columns, dict.fromkeys(columns, outlines), rows=names)
    return [record, sheet]


def look_of(reference: Reference) -> TumourLook:
    """The look of the reference slice's tumour. Raises InputError where it shows none."""
    patches = patches_of(reference.image, reference.tumour)
    if not len(patches):
        raise InputError(
            f"{reference.case}, slice {reference.slice}: shows no outlined tumour to compare with; label it, or choose "
            "the level by eye from transfer/figures"
        )
    inside = reference.image[reference.tumour]
    darkest, brightest = np.percentile(inside, [1, 99])
    sd = float(inside.std())
    low = float(darkest) - sd
    high = float(brightest) + sd
    return TumourLook(patches, low, high)


def measure(result: np.ndarray, mask: np.ndarray, look: TumourLook) -> tuple[float, float]:
    """How much a structure looks like the reference's tumour, and how much of its shape is kept.

    Args:
        result: Image with the structure, (Z, Y, X) in [-1, 1].
        mask: The structure, bool (Z, Y, X).
        look: Of the reference's tumour.

    Returns:
        The distance of patches, NaN where there is no whole one, and the share of the shape.
    """
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    by_slice = []
    for index in slices:
        own = patches_of(result[index], mask[index])
        by_slice.append(own)
    patches = np.concatenate(by_slice)  # (N, PATCH_PX²)

    distance = math.nan
    if len(patches):
        # The same directions for every level and case.
        generator = np.random.default_rng(0)
        distance = sliced_wasserstein(patches, look.patches, generator)
    shape = shape_kept(result, mask, look.low, look.high)
    return distance, shape


def shape_kept(result: np.ndarray, mask: np.ndarray, low: float, high: float) -> float:
    """Share of the inside of a mask's outline, `BORDER_PX` voxels in plane, that has a structure's intensities.

    Args:
        result: Image, (Z, Y, X).
        mask: The structure, bool (Z, Y, X).
        low: The least of its intensities.
        high: The greatest.

    Returns:
        A share in [0, 1].
    """
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = True
    core = binary_erosion(mask, in_plane, iterations=BORDER_PX)
    border = result[mask & ~core]
    alike = (border >= low) & (border <= high)
    return float(alike.mean())


def summary_of(level: int | None, trials: list[Trial]) -> dict:
    """Means over the cases at one level: `patches`, None where no case has one, and `shape`."""
    own = [trial for trial in trials if trial.level == level]
    patches = np.array([trial.patches for trial in own])
    shape = np.array([trial.shape for trial in own])
    distance = None
    if not np.isnan(patches).all():
        distance = float(np.nanmean(patches))
    return {
        "level": level,
        "patches": distance,
        "shape": float(shape.mean()),
    }


def choose(rows: list[dict]) -> int | None:
    """The level of the smallest patch distance among those that keep the shape; None is no harmonisation."""
    best = max(row["shape"] for row in rows)
    able = [row for row in rows if row["shape"] >= SHAPE_KEPT * best]

    def distance(row: dict) -> float:
        # Where no tumour has a whole patch, nothing speaks for the level.
        return math.inf if row["patches"] is None else row["patches"]

    closest = min(able, key=distance)
    return closest["level"]


def largest_first(cases: list[PreparedCase]) -> list[PreparedCase]:
    """Cases with a tumour, by its size."""

    def tumour_voxels(case: PreparedCase) -> int:
        return sum(case.tumour_voxels)

    with_tumour = [case for case in cases if any(case.tumour_voxels)]
    return sorted(with_tumour, key=tumour_voxels, reverse=True)


def _title(row: dict, chosen: int | None) -> str:
    """What stands above a level's column: the level, its two numbers, and a star at the chosen one."""
    level, patches, shape = row["level"], row["patches"], row["shape"]
    title = "not harmonised" if level is None else f"level {level}"
    if patches is None:
        patches = math.nan
    title += f"\n{patches:.3f}, {shape:.2f}"
    if level == chosen:
        title += " *"
    return title
