"""Domain B': the source tumour, copied into synthetic T2 and harmonised by the one-shot model. Sallé et al. 2021.

For each labelled T1 case: J = phi0_AB(I); the 3-D tumour of I is copied into J at its voxels, the outermost of them in
part; the tumour's region goes slice by slice, in one batch, through the scales n*..N; inside the mask (with a soft
edge) the result replaces J, and everywhere else J stays as it is, bit for bit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter

from training.config import RunConfig, TransferConfig
from training.data.sheets import save_sheet
from training.data.slices import PreparedCase, read_cases
from training.harmonisers.poisson import poisson_blend
from training.harmonisers.singan import SinGAN, load_cascades
from training.stage_table import CYCLEGAN, PREPARE, TRANSFER
from vestibule.boxes import bounding_box
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import write_json
from vestibule.networks import build_generator
from vestibule.pipeline import pick_device
from vestibule.progress import track
from vestibule.translation import translate

MARGIN_PX = 16
"""Context around the tumour that the cascade sees; more than half of what its finest scales see."""
REACH = 3
"""Standard deviations at which a soft edge and a rim end."""
FIGURES = 6
"""Cases of which a figure sheet is kept."""


@dataclass(frozen=True)
class TumourLook:
    """Mean and standard deviation of a tumour's intensities in [-1, 1]."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Transferred:
    """One case on its way into B', all (Z, Y, X) float32 in [-1, 1]."""

    erased: np.ndarray
    """phi0_AB(I): synthetic T2 as the CycleGAN gives it."""
    naive: np.ndarray
    """With the tumour copied from T1 as it is."""
    harmonised: np.ndarray
    """The result, J~."""


def transfer(config: RunConfig, run_dir: Path) -> list[Path]:
    """Make B' of every source case; leaves float16 volumes, an index and figure sheets in `transfer/`.

    A case without a tumour stays phi0_AB(I) and is counted. Raises InputError where n* is out of range, or the
    `reference` rule is asked for and the reference slice has no labelled tumour.
    """
    folder = TRANSFER.folder(run_dir)
    device = pick_device()
    generator = build_generator(config.cyclegan.generator)
    generator.load_state_dict(load_file(CYCLEGAN.folder(run_dir) / "source_to_target.safetensors"))
    generator.to(device).eval()
    settings = config.transfer
    models = load_cascades(run_dir, device)
    scales = min(cascade.scales for cascade, _ in models)
    if settings.level is not None and not 1 <= settings.level < scales:
        raise InputError(f"transfer.level must be from 1 to {scales - 1}, got {settings.level}")
    looks = [reference_look(settings, record) for _, record in models]
    values = [v for name in settings.structures for v in get_edition(config.edition).structures[name]]
    entries, paths, drawn = [], [], 0
    for number, case in enumerate(track(read_cases(run_dir, "source"), TRANSFER.name)):
        source = np.asarray(case.image, dtype=np.float32)
        mask = np.isin(case.labels, values)
        noise = torch.Generator().manual_seed(config.seed * 100_003 + number)
        (cascade, _), look = models[number % len(models)], looks[number % len(models)]
        result = transfer_case(source, mask, translate(generator, source), cascade, look, settings, noise)
        path = folder / "source" / f"{case.name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, result.harmonised.astype(np.float16))
        paths.append(path)
        entries.append(_entry(case, path.relative_to(folder), run_dir, folder))
        if mask.any() and drawn < FIGURES:
            save_figure(folder / "figures" / f"{case.name}.png", case.name, source, mask, result)
            drawn += 1
    without = sum(1 for case in read_cases(run_dir, "source") if not any(case.tumour_voxels))
    brought_to = [asdict(look) if look else None for look in looks]
    write_json(folder / "index.json", {"cases": entries, "without_tumour": without, "brought_to": brought_to})
    return [folder / "index.json", *paths]


def transfer_case(
    source: np.ndarray,
    mask: np.ndarray,
    erased: np.ndarray,
    cascade: SinGAN,
    look: TumourLook | None,
    config: TransferConfig,
    noise: torch.Generator | None,
) -> Transferred:
    """Copy and harmonise the structure `mask` (Z, Y, X) of `source` into `erased`, both float32 (Z, Y, X) in [-1, 1].

    `look` is what the copy's intensities are brought to (None: as they are). Voxels farther from the mask than rim and
    soft edge, and with `poisson` all outside it, stay bit-identical to `erased`. Raises ValueError where the shapes
    differ.
    """
    if not source.shape == mask.shape == erased.shape:
        raise ValueError(f"source, mask and erased must have one shape, got {source.shape, mask.shape, erased.shape}")
    naive = np.where(mask, source, erased)
    if not mask.any() or config.blending == "none":
        return Transferred(erased, naive, erased.copy())
    core = core_of(mask) if config.rim_px else mask
    looked = match_look(source, core, look) if look else source
    box = _box(mask, MARGIN_PX)
    around, own = erased[box], mask[box]
    share = partial_volume(own, config.rim_px)
    improved = mixed(around, extended(looked[box], core[box]), share)
    if config.blending == "poisson" and config.level is None:
        improved = looked[box]  # gradients across the border are the copy's own
    if config.level is not None:
        batch = torch.from_numpy(np.ascontiguousarray(improved))[:, None].to(cascade.amplitudes.device)
        injected = cascade.inject(batch, config.level, noise)[:, 0].cpu().numpy()
        improved = mixed(around, injected, soft_edge(own, config.edge_px))
    if config.blending == "poisson":
        improved = np.where(own, poisson_blend(improved, own, around).clip(-1, 1), around)
    harmonised = erased.copy()
    harmonised[box] = improved
    return Transferred(erased, naive, harmonised)


def core_of(mask: np.ndarray) -> np.ndarray:
    """Voxels of `mask` (Z, Y, X) whose four neighbours in the slice belong to it too; `mask` where there are none."""
    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
    core = binary_erosion(mask, cross, border_value=1)
    return core if core.any() else mask


def extended(values: np.ndarray, core: np.ndarray) -> np.ndarray:
    """`values` (Z, Y, X) with those outside `core` replaced by that of the nearest voxel in it."""
    nearest = distance_transform_edt(~core, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


def partial_volume(mask: np.ndarray, rim_px: float) -> np.ndarray:
    """Share of the tumour in each voxel (Z, Y, X): `mask`, blurred within its slices by `rim_px` voxels."""
    return gaussian_filter(mask.astype(np.float32), (0, rim_px, rim_px), mode="nearest", truncate=REACH)


def mixed(around: np.ndarray, inside: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`inside` by its `share` in [0, 1] and `around` by the rest; bit-identical to `around` where the share is 0."""
    return np.where(share > 0, around + share * (inside - around), around)


def match_look(source: np.ndarray, mask: np.ndarray, look: TumourLook) -> np.ndarray:
    """`source`, scaled so that inside `mask` it has the mean and spread of `look`, clipped to [-1, 1]."""
    inside = source[mask]
    spread = float(inside.std())
    scaled = (source - float(inside.mean())) * (look.sd / spread if spread > 1e-6 else 0.0) + look.mean
    return np.clip(scaled, -1, 1).astype(np.float32)


def soft_edge(mask: np.ndarray, edge_px: float) -> np.ndarray:
    """Weight in [0, 1] (Z, Y, X): 1 on `mask`, falling as a Gaussian around it within its slices, 0 beyond three sd."""
    if edge_px <= 0 or not mask.any():
        return mask.astype(np.float32)
    distance = distance_transform_edt(~mask, sampling=(1e6, 1.0, 1.0))
    weight = np.exp(-0.5 * (distance / edge_px) ** 2)
    return np.where(distance <= REACH * edge_px, weight, 0.0).astype(np.float32)


def reference_look(config: TransferConfig, record: dict) -> TumourLook | None:
    """What the copy is brought to, by the configured rule. Raises InputError where the reference shows no tumour."""
    if config.intensity == "none":
        return None
    image, tumour = record["image"], record["tumour"]
    if not tumour.any():
        raise InputError(
            f"transfer.intensity 'reference' needs a labelled tumour in the reference slice "
            f"({record['case']}, slice {record['slice']}); label it, choose another slice, or set 'none'"
        )
    inside = image[core_of(tumour[None])[0] if config.rim_px else tumour]
    return TumourLook(float(inside.mean()), float(inside.std()))


def save_figure(path: Path, name: str, source: np.ndarray, mask: np.ndarray, result: Transferred) -> None:
    """As Figure 2 of the paper: T1, T2 with the tumour erased, with the naive copy, harmonised; the largest section."""
    index = int(mask.sum(axis=(1, 2)).argmax())
    columns = {
        "T1": [source[index]],
        "T2, tumour erased": [result.erased[index]],
        "naive copy": [result.naive[index]],
        "harmonised": [result.harmonised[index]],
    }
    save_sheet(path, columns, {"T1": [mask[index]]}, rows=[name], inches=3.0)


def _box(mask: np.ndarray, margin_px: int) -> tuple[slice, slice, slice]:
    margins = (0, margin_px, margin_px)
    return tuple(
        slice(max(0, axis.start - margin), min(size, axis.stop + margin))
        for axis, size, margin in zip(bounding_box(mask), mask.shape, margins, strict=True)
    )


def _entry(case: PreparedCase, image: Path, run_dir: Path, folder: Path) -> dict:
    prepared = PREPARE.folder(run_dir) / "index.json"
    entries = json.loads(prepared.read_text(encoding="utf-8"))["cases"]
    (entry,) = (entry for entry in entries if (entry["case"], entry["domain"]) == (case.name, "source"))
    label = Path("..") / PREPARE.name / entry["label"]
    return {**entry, "image": str(image), "label": str(label)}
