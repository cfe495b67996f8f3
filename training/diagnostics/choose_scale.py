"""Which level to harmonise at, without labels of B: patches as on T2, as long as the copy keeps its shape.

For every level of the harmoniser (SinGAN's are the scales n*), tumours of a few T1 cases go through the transfer. Two
numbers are taken of each: `patches`, the sliced Wasserstein distance of its patches to those of the first reference
slice, and `shape`, how much of its shape is left. Chosen is the level of the smallest distance among those that keep
enough of the shape: where the surroundings flow in, the mask no longer belongs to what it covers.

Where the reference slice's tumour is outlined, patches of tumours are compared with patches of that tumour. Where it is
not, whole slices with a tumour are compared, and the shape is told by the edges along the outline of the copy: see
`training.diagnostics.looks`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.intermediates import Translators, copied_structures
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.looks import look_of
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


@dataclass(frozen=True)
class Trial:
    """What harmonisation at one level makes of one case's tumour."""

    level: int | None
    patches: float
    """Distance of patches to those of the reference; NaN where no whole patch lies around a voxel of the tumour."""
    shape: float
    """Share of the shape that is left."""


def sweep(config: RunConfig, run_dir: Path, ignore_outline: bool = False) -> list[Path]:
    """Transfer tumours at every level; writes `sweep/sweep.json`, with the choice, and the sheet `sweep/sweep.png`.

    Args:
        config: Its sections `transfer` and `edition`.
        run_dir: Folder of a run with prepared cases, a CycleGAN and harmonisers.
        ignore_outline: Choose as if the tumour of the reference slice were not outlined.

    Returns:
        Paths of the record and of the sheet.

    Raises:
        InputError: A stage before is missing, the outlined tumour has no whole patch, or `transfer.intensity` asks for
            an outline that there is not or that is to be ignored.
    """
    if ignore_outline and config.transfer.intensity == "reference":
        raise InputError(
            "transfer.intensity 'reference' uses the outline that --ignore-outline leaves out; set 'none', or leave "
            "the option out"
        )
    read_outputs(run_dir, HARMONISER)
    harmoniser, reference = load_harmonisers(run_dir)[0]
    levels = [None, *harmoniser.levels]
    outlined = bool(reference.tumour.any()) and not ignore_outline
    look = look_of(reference, outlined)
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
            patches, shape = look.measure(result, mask)
            trial = Trial(level, patches, shape)
            trials.append(trial)

    # All numbers are written down, so that the choice can be made otherwise by eye.
    rows = [summary_of(level, trials) for level in levels]
    chosen = choose(rows, look.shape_kept)
    folder = run_dir / FOLDER
    record = folder / "sweep.json"
    content = {
        "chosen": chosen,
        "outlined": outlined,
        "shape_kept": look.shape_kept,
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


def choose(rows: list[dict], shape_kept: float) -> int | None:
    """The level of the smallest patch distance among those that keep the shape; None is no harmonisation.

    Args:
        rows: A summary of each level.
        shape_kept: Share of the best shape that a level must keep.

    Returns:
        The level.
    """
    best = max(row["shape"] for row in rows)
    able = [row for row in rows if row["shape"] >= shape_kept * best]

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
