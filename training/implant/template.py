"""What an inner ear looks like: the mean of synthetic ones, matched to an image by normalised cross-correlation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import fft, ndimage

from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render_signal
from training.phantom.shapes import as_share, rotation
from training.phantom.signals import SEQUENCES
from vestibule.volume import Geometry

GRID_MM = 1.5
"""Voxels of the images that are matched, in all directions."""
TEMPLATE_MM = 1.0
"""Voxels of the synthetic ears."""
PEOPLE = 4
"""Synthetic ears that are averaged."""
TEMPLATE_HALF_ZYX = (14, 22, 28)
"""Voxels of a synthetic ear to each side of its canal's middle."""
PATCH_MM = ((-9.0, 9.0), (-11.0, 11.0), (-9.0, 17.0))
"""What is compared, z y x from the canal's middle outward: canal, labyrinth, and the dark bone that encloses them."""
BACKGROUND_MM = 5.0
"""In-plane blur that is taken off, so that small bright shapes count and not that bone is dark and brain is not."""
BLUR_MM = 0.6
"""In-plane blur of the synthetic ears, near that of a scanner."""
POSES_DEG = tuple((pitch, 0.0, yaw) for pitch in (-10.0, 10.0) for yaw in (-10.0, 0.0, 10.0))
"""Turns about x, y, z in which the ear is tried."""
BONE, FLUID = 0.15, 0.45
"""Synthetic signal, in parts of fluid's, below which there is bone, and above which some fluid."""
FLAT = 0.02
"""Share of the largest variance below which a place counts as if it had this much: noise is no shape."""


@dataclass(frozen=True)
class MeanEar:
    """The mean T2 signal (Z, Y, X) of left ears around the middle of their canals, and where these begin and end."""

    signal: np.ndarray
    porus: np.ndarray
    """From the canal's middle, x y z in mm."""
    fundus: np.ndarray


@dataclass(frozen=True)
class Surroundings:
    """Points around a left canal's middle, and what synthetic ears have there."""

    points: np.ndarray
    """(N, xyz) in mm."""
    bone: np.ndarray
    """Which of them (N,) lie in bone."""
    fluid: np.ndarray
    """Which of them (N,) lie in fluid."""


@dataclass(frozen=True)
class Patch:
    """What of an ear is compared with an image, on a grid of `GRID_MM`."""

    points: np.ndarray
    """(Z, Y, X, xyz) in mm from the canal's middle."""
    weight: np.ndarray
    """(Z, Y, X): 1 inside, falling off to the edge."""
    middle: tuple[int, ...]
    """Index (z, y, x) of the canal's middle."""


@cache
def mean_ear() -> MeanEar:
    """The mean of `PEOPLE` synthetic left ears without tumour on a turbo spin echo; the same at every call."""
    half_zyx = np.array(TEMPLATE_HALF_ZYX)
    size_z, size_y, size_x = (2 * half_zyx + 1).tolist()
    nobody_ill = PhantomConfig(prevalence=0.0)
    total = np.zeros((size_z, size_y, size_x), dtype=np.float32)
    ends = []
    for seed in range(PEOPLE):
        patient = make_patient(nobody_ill, np.random.default_rng(seed))
        upright = replace(patient, turn_deg=np.zeros(3), shift_mm=np.zeros(3))
        left, _ = upright.ears
        middle = 0.5 * (left.porus + left.fundus)

        # Voxel centres around the middle of the canal.
        origin_xyz = middle - TEMPLATE_MM * half_zyx[::-1]
        grid = Geometry(
            size_zyx=(size_z, size_y, size_x),
            spacing_zyx=(TEMPLATE_MM, TEMPLATE_MM, TEMPLATE_MM),
            origin_xyz=tuple(origin_xyz),
            direction=tuple(np.eye(3).ravel()),
        )
        signal, _ = render_signal(upright, SEQUENCES["tse"], grid)

        # In parts of fluid's signal.
        fluid = np.percentile(signal, 99)
        total = total + signal / fluid
        porus = left.porus - middle
        fundus = left.fundus - middle
        ends.append((porus, fundus))

    mean_porus, mean_fundus = np.mean(ends, axis=0)
    return MeanEar(total / PEOPLE, mean_porus, mean_fundus)


def sharpen(image: np.ndarray, step_mm: float) -> np.ndarray:
    """The root of an image (Z, Y, X) that is 0 and up, less its blur in plane."""
    root = np.sqrt(np.maximum(image, 0))
    sigma_vox = BACKGROUND_MM / step_mm
    background = ndimage.gaussian_filter(root, (0, sigma_vox, sigma_vox))
    return root - background


def match(image: np.ndarray, slice_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """How alike each place of an image is to the middle of a left canal, by weighted normalised cross-correlation.

    Args:
        image: The image (Z, Y, X), sharpened, on a grid of `GRID_MM`.
        slice_mm: Thickness of the slices that it was acquired with.

    Returns:
        Likeness (Z, Y, X), -1 to 1, and the index of the best pose in `POSES_DEG` (Z, Y, X).
    """
    patch = _patch()
    weight = patch.weight
    total = weight.sum()

    # So much that the whole patch lies in the image wherever its middle does.
    padding = []
    for at, length in zip(patch.middle, weight.shape, strict=True):
        padding.append((at, length - 1 - at))
    padded = np.pad(image, padding, mode="edge")

    # Cross-correlation by the Fourier transform: patches have some 2,000 points.
    size = [fft.next_fast_len(n, real=True) for n in padded.shape]
    window = tuple(slice(0, n) for n in image.shape)

    def weighted_mean(spectrum: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        """Mean of an image over the patch at each place (Z, Y, X), weighted by `kernel`."""
        kernel_spectrum = np.conj(fft.rfftn(kernel, size))
        sums = fft.irfftn(spectrum * kernel_spectrum, size)
        return sums[window] / total

    # Spread of the image around each place, which a likeness is relative to.
    spectrum = fft.rfftn(padded, size)
    squares = fft.rfftn(padded * padded, size)
    mean = weighted_mean(spectrum, weight)
    variance = weighted_mean(squares, weight) - mean**2
    least_variance = max(FLAT * float(variance.max()), 1e-9)
    spread = np.sqrt(np.maximum(variance, least_variance))

    best = np.full(image.shape, -1.0)
    best_pose = np.zeros(image.shape, dtype=int)
    for pose, values in enumerate(_turned(patch.points, slice_mm)):
        # Without its mean, the template makes the image's own mean drop out.
        template_mean = (values * weight).sum() / total
        offset = values - template_mean
        template_variance = (offset**2 * weight).sum() / total
        template_spread = np.sqrt(template_variance)

        covariance = weighted_mean(spectrum, offset * weight)
        likeness = covariance / (spread * template_spread)
        best_pose[likeness > best] = pose
        best = np.maximum(best, likeness)
    return best, best_pose


@cache
def around_canal() -> Surroundings:
    """What lies around a left canal's middle in synthetic ears."""
    points = _patch().points.reshape(-1, 3)
    x, _, z = points.T
    index = _template_index(points)
    signal = ndimage.map_coordinates(mean_ear().signal, index.T, order=1)

    # Above and below, and in the cistern, people differ.
    near = np.abs(z) < 7
    is_dark = signal < BONE
    is_bright = signal > FLUID
    bone = is_dark & near & (x > -4)
    fluid = is_bright & near & (x > -2)
    return Surroundings(points, bone, fluid)


def _patch() -> Patch:
    axes = []
    for low_mm, high_mm in PATCH_MM:
        first = np.ceil(low_mm / GRID_MM)
        last = np.floor(high_mm / GRID_MM)
        steps = np.arange(first, last + 1)
        axes.append(steps * GRID_MM)
    z, y, x = np.meshgrid(*axes, indexing="ij")

    # The product of a weight along each axis.
    weight = np.ones(z.shape)
    for values, (low_mm, high_mm) in zip((z, y, x), PATCH_MM, strict=True):
        middle_mm = 0.5 * (low_mm + high_mm)
        half_mm = 0.5 * (high_mm - low_mm)
        from_middle_mm = np.abs(values - middle_mm)
        reach = from_middle_mm / half_mm  # 1 at the edge
        # Falls from 1 at three quarters of the way, to 0 beyond the edge.
        weight *= as_share((1.15 - reach) / 0.4)

    middle = []
    for axis in axes:
        nearest = np.argmin(np.abs(axis))
        middle.append(int(nearest))
    points = np.stack([x, y, z], axis=-1)
    return Patch(points, weight, tuple(middle))


def _turned(points: np.ndarray, slice_mm: float) -> Iterator[np.ndarray]:
    """The mean ear at points (Z, Y, X, xyz), as slices of `slice_mm` show it, in each pose: (Z, Y, X)."""
    sigma_vox = BLUR_MM / TEMPLATE_MM
    signal = ndimage.gaussian_filter(mean_ear().signal, (0, sigma_vox, sigma_vox))

    # A slice averages over its thickness.
    slice_vox = max(1, round(slice_mm / TEMPLATE_MM))
    signal = ndimage.uniform_filter1d(signal, slice_vox, axis=0)
    signal = sharpen(signal, TEMPLATE_MM)

    for pose_deg in POSES_DEG:
        # Rows times a rotation turn the points back, which turns the ear forth.
        turn = rotation(np.array(pose_deg))
        index = _template_index(points @ turn)
        index = np.moveaxis(index, -1, 0)  # (zyx, Z, Y, X)
        yield ndimage.map_coordinates(signal, index, order=1, mode="nearest")


def _template_index(points: np.ndarray) -> np.ndarray:
    """Continuous indices (..., zyx) in the mean ear of points (..., xyz) in mm from the canal's middle."""
    points_zyx = points[..., ::-1]
    middle = np.array(TEMPLATE_HALF_ZYX)
    return points_zyx / TEMPLATE_MM + middle
