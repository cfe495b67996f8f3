"""Which scale n* to inject at, without labels of B: patch statistics inside the tumour, as long as its shape is kept.

For every scale, tumours of a few T1 cases go through the transfer. Two numbers are taken inside their masks: `patches`,
the sliced Wasserstein distance of the tumours' patches to those of the reference slice's tumour, and `shape`, the share
of the voxels along the inside of the mask's outline that are as bright as that tumour: where the surroundings flow in,
the mask no longer belongs to what it covers. Chosen is the scale of the smallest distance among those that keep
`SHAPE_KEPT` of the best share. The one reference slice must show an outlined tumour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import binary_erosion

from training.config import RunConfig
from training.data.intermediates import Translators
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.diagnostics.patches import patches_of, sliced_wasserstein
from training.harmonisers.singan import load_cascade
from training.run_folder import read_outputs
from training.stage_table import CYCLEGAN, HARMONISER
from training.stages.transfer import reference_look, transfer_case
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.pipeline import pick_device
from vestibule.progress import track

CASES = 6
SHAPE_KEPT = 0.9
BORDER_PX = 2


def sweep(config: RunConfig, run_dir: Path) -> list[Path]:
    """Transfer tumours at every scale; writes `sweep/sweep.json`, with the choice, and the sheet `sweep/sweep.png`.

    Raises InputError where a stage before is missing, or the reference slice has no outlined tumour with a whole patch.
    """
    read_outputs(run_dir, HARMONISER)
    cascade, record = load_cascade(HARMONISER.folder(run_dir), pick_device())
    wanted = reference_patches(record)
    settings = replace(config.transfer, blending="soft")
    look = reference_look(settings, record)
    values = [v for name in settings.structures for v in get_edition(config.edition).structures[name]]
    translators, found = Translators(run_dir), []
    cases = largest_first([case for case in read_cases(run_dir, "source") if any(case.tumour_voxels)])
    images: dict[str, list[np.ndarray]] = {}
    outlines = []
    for case in track(cases[:CASES], "sweep"):
        source, mask = np.asarray(case.image, dtype=np.float32), np.isin(case.labels, values)
        erased = translators(CYCLEGAN, "source_to_target", source)
        index = int(mask.sum(axis=(1, 2)).argmax())
        outlines.append(mask[index])
        for scale in (None, *range(1, cascade.scales)):
            own = replace(settings, level=scale)
            result = transfer_case(source, mask, erased, cascade, look, own, None).harmonised
            images.setdefault(_title(scale), []).append(result[index])
            found.append((scale, *measure(result, mask, wanted)))
    rows = [summary_of(scale, found) for scale in (None, *range(1, cascade.scales))]
    folder = run_dir / "sweep"
    folder.mkdir(exist_ok=True)
    chosen = choose(rows)
    write_json(folder / "sweep.json", {"chosen": chosen, "shape_kept": SHAPE_KEPT, "scales": rows})
    titles = {_title(row["scale"]): f"{_title(row['scale'])}\n{row['patches']:.3f}, {row['shape']:.2f}" for row in rows}
    sheet = {titles[name] + (" *" if name == _title(chosen) else ""): column for name, column in images.items()}
    masks = dict.fromkeys(sheet, outlines)
    save_sheet(folder / "sweep.png", sheet, masks, rows=[case.name for case in cases[:CASES]])
    return [folder / "sweep.json", folder / "sweep.png"]


@dataclass(frozen=True)
class Look:
    """What the reference slice's tumour looks like."""

    patches: np.ndarray
    """(N, PATCH_PX²), around its pixels."""
    low: float
    """Below its 1st percentile by its standard deviation."""
    high: float
    """Above its 99th by as much."""


def reference_patches(record: dict) -> Look:
    """The look of the tumour in the reference slice of a cascade's record. Raises InputError where it shows none."""
    image, tumour = record["image"], record["tumour"]
    patches = patches_of(image, tumour)
    if not len(patches):
        raise InputError(
            f"{record['case']}, slice {record['slice']}: shows no outlined tumour to compare with; label it, or choose "
            "n* by eye from transfer/figures"
        )
    low, high = np.percentile(image[tumour], [1, 99])
    spread = float(image[tumour].std())
    return Look(patches, float(low) - spread, float(high) + spread)


def measure(result: np.ndarray, mask: np.ndarray, look: Look) -> tuple[float, float]:
    """Patch distance to `look` and the shape's share of the structure `mask` in `result`, both (Z, Y, X)."""
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    patches = np.concatenate([patches_of(result[index], mask[index]) for index in slices])
    distance = sliced_wasserstein(patches, look.patches, np.random.default_rng(0)) if len(patches) else float("nan")
    return distance, shape_kept(result, mask, look.low, look.high)


def shape_kept(result: np.ndarray, mask: np.ndarray, low: float, high: float) -> float:
    """Share of the mask's border in `result` (Z, Y, X) that lies from `low` to `high`: `BORDER_PX` voxels in plane."""
    plane = np.zeros((3, 3, 3), dtype=bool)
    plane[1] = True
    border = mask & ~binary_erosion(mask, plane, iterations=BORDER_PX)
    return float(((result[border] >= low) & (result[border] <= high)).mean())


def summary_of(scale: int | None, found: list[tuple]) -> dict:
    """Means over the cases at one scale."""
    own = np.array([(distance, shape) for at, distance, shape in found if at == scale])
    return {"scale": scale, "patches": float(np.nanmean(own[:, 0])), "shape": float(own[:, 1].mean())}


def choose(rows: list[dict]) -> int | None:
    """The scale of the smallest patch distance among those that keep the shape; None is no injection."""
    best = max(row["shape"] for row in rows)
    able = [row for row in rows if row["shape"] >= SHAPE_KEPT * best]
    return min(able, key=lambda row: row["patches"])["scale"]


def largest_first(cases: list[PreparedCase]) -> list[PreparedCase]:
    """Cases by the size of their tumour."""
    return sorted(cases, key=lambda case: -sum(case.tumour_voxels))


def _title(scale: int | None) -> str:
    return "no injection" if scale is None else f"n* = {scale}"
