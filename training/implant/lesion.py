"""Paint a tumour into an image: shape by the canal, brightness by the image's own brain and fluid, noise by its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.implant.canals import Canal
from training.phantom.render import tumour_on
from training.phantom.scanner import blur
from training.phantom.shapes import Lattice, coverage
from training.phantom.signals import SEQUENCES, tissue_signal
from training.phantom.tissues import TISSUES
from training.phantom.tumour import Tumour, sample_tumour
from vestibule.errors import InputError
from vestibule.volume import Volume

SEQUENCE_OF = {"T1": "spgr", "T2": "tse"}
"""Whose contrast a tumour gets where nothing else is said: a spoiled echo after contrast agent, a turbo spin echo."""
FINE_MM = 0.6
"""Sub-voxels are at most this wide."""
BRAIN_BOX_MM = ((-16.0, 0.0), (14.0, 34.0), (-8.0, 8.0))
"""Cerebellum, from the porus outward, back and up."""
POINT_SPREAD_VOX = 1.1
UNTOUCHED = 0.01
"""Where a tumour fills less of a voxel, the voxel stays bit for bit."""


@dataclass(frozen=True)
class Look:
    """What an image says of its own brightness and noise."""

    brain: float
    fluid: float
    noise_sd: float


def implant(
    image: Volume, canal: Canal, volume_mm3: float, contrast: str, rng: np.random.Generator, sequence: str | None = None
) -> tuple[Volume, Volume, Tumour]:
    """`image` with a tumour of `volume_mm3` in `canal` and beyond; its label (1 out of the canal, 2 in it); the tumour.

    Outside of the tumour the image is untouched. `contrast` is `T1` or `T2`, `sequence` one of the phantom's. Raises
    InputError where the canal lies outside of the image.
    """
    frame = canal.frame()
    tumour = sample_tumour(rng, volume_mm3, canal.length_mm, canal.radius_mm, frame.face_normal)
    geometry = image.geometry
    columns = geometry.matrix * np.asarray(geometry.spacing_zyx[::-1])
    lattice = Lattice(geometry.size_zyx, np.asarray(geometry.origin_xyz), columns.T[::-1].copy())
    window = lattice.near(frame.porus, tumour.reach + 2 * max(geometry.spacing_zyx[1:]))
    if window is None or not _inside(lattice, canal):
        raise InputError("the canal lies outside of the image; give its porus and fundus in patient mm (LPS)")
    look = measure_look(image, lattice, canal, contrast)
    share, bright, inner = _draw(tumour, canal, lattice.window(window), look, contrast, sequence)
    noise = rng.standard_normal(share.shape).astype(np.float32)
    blur(noise, POINT_SPREAD_VOX)
    bright += noise * np.float32(look.noise_sd / noise.std())
    label = np.zeros(geometry.size_zyx, dtype=np.uint8)
    label[window][share >= 0.5] = 1
    label[window][(share >= 0.5) & (inner > 0.5 * share)] = 2
    blur(share, POINT_SPREAD_VOX)
    share[share < UNTOUCHED] = 0
    voxels = image.voxels.astype(np.float32, copy=True)
    voxels[window] += share * (bright - voxels[window])
    return image.with_voxels(voxels), image.with_voxels(label), tumour


def measure_look(image: Volume, lattice: Lattice, canal: Canal, contrast: str) -> Look:
    """Brightness of cerebellum and of fluid near the canal, and noise, in the image's units.

    Fluid on T1 is not measured: a canal is too narrow there to be told from bone; 0 stands for the absence of signal.
    """
    frame = canal.frame()
    window = lattice.near(frame.porus, 45.0)
    near = image.voxels[window]
    a, b, c = frame.local(*lattice.window(window).points())
    box = np.ones(near.shape, dtype=bool)
    for values, (low, high) in zip((a, b, c), BRAIN_BOX_MM, strict=True):
        box &= (values > low) & (values < high)
    if not box.any():
        raise InputError("the image shows no cerebellum behind the canal to take the brightness of brain from")
    steps = np.diff(near, axis=2)[box[:, :, 1:] & box[:, :, :-1]]
    noise = float(np.median(np.abs(steps - np.median(steps)))) * 1.4826 / np.sqrt(2)
    ball = a * a + b * b + c * c < 14.0**2
    fluid = float(np.percentile(near[ball], 98)) if contrast == "T2" else 0.0
    return Look(float(np.median(near[box])), fluid, noise)


def _draw(tumour: Tumour, canal: Canal, lattice: Lattice, look: Look, contrast: str, sequence: str | None):
    """What share of each voxel (Z, Y, X) the tumour fills, how bright it is there, and its share within the canal."""
    physics = SEQUENCES[sequence or SEQUENCE_OF[contrast]]
    factors = tuple(max(2, int(n)) for n in np.ceil(lattice.spacing_zyx / FINE_MM - 1e-6))
    fine = lattice.refined(factors)
    distance, signal, outside_bone = tumour_on(tumour, canal.frame(), physics, *fine.points())
    filled = coverage(distance, float(np.mean(fine.spacing_zyx)))
    weight = _mean_of_parts(filled, factors)
    inner = _mean_of_parts(filled * ~outside_bone, factors)
    mean = _mean_of_parts(filled * signal, factors) / np.maximum(weight, 1e-6)
    brain = 0.5 * (tissue_signal(physics, TISSUES["white"]) + tissue_signal(physics, TISSUES["grey"]))
    low, high = (brain, tissue_signal(physics, TISSUES["csf"])) if contrast == "T2" else (0.0, brain)
    level = (look.brain, look.fluid) if contrast == "T2" else (0.0, look.brain)
    bright = level[0] + (mean - low) * ((level[1] - level[0]) / (high - low))
    # The point spread takes brightness from beyond the surface, where the tumour has none of its own.
    nearest = ndimage.distance_transform_edt(weight < 0.05, return_distances=False, return_indices=True)
    return weight, bright[tuple(nearest)].astype(np.float32), inner


def _mean_of_parts(fine: np.ndarray, factors: tuple[int, int, int]) -> np.ndarray:
    size = [part for n, factor in zip(fine.shape, factors, strict=True) for part in (n // factor, factor)]
    return fine.reshape(size).mean(axis=(1, 3, 5), dtype=np.float32)


def _inside(lattice: Lattice, canal: Canal) -> bool:
    return all(lattice.near(end, 1.0) is not None for end in (canal.porus, canal.fundus))
