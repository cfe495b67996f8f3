"""What an inner ear looks like: the mean of drawn ones, matched to an image by normalised cross-correlation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import fft, ndimage

from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import draw
from training.phantom.shapes import rotation
from training.phantom.signals import SEQUENCES
from vestibule.volume import Geometry

GRID_MM = 1.5
"""Voxels of the images that are matched, in all directions."""
DRAWN_MM = 1.0
PEOPLE = 4
"""Drawn ears that are averaged."""
DRAWN_HALF_ZYX = (14, 22, 28)
"""Drawn voxels to each side of a canal's middle."""
PATCH_MM = ((-9.0, 9.0), (-11.0, 11.0), (-9.0, 17.0))
"""What is compared, z y x from the canal's middle outward: canal, labyrinth, and the dark bone that encloses them."""
BACKGROUND_MM = 5.0
"""In-plane blur that is taken off, so that small bright shapes count and not that bone is dark and brain is not."""
POSES_DEG = tuple((pitch, 0.0, yaw) for pitch in (-10.0, 10.0) for yaw in (-10.0, 0.0, 10.0))
"""Turns about x, y, z in which the ear is tried."""
BONE, FLUID = 0.15, 0.45
"""Drawn signal, in parts of fluid's, below which there is bone, and above which some fluid."""
FLAT = 0.02
"""Share of the largest variance below which a place counts as if it had this much: noise is no shape."""


@dataclass(frozen=True)
class Ear:
    """The mean T2 signal (Z, Y, X) of left ears around the middle of their canals, and where these begin and end."""

    signal: np.ndarray
    porus: np.ndarray
    """From the canal's middle, x y z in mm."""
    fundus: np.ndarray


@cache
def drawn_ear() -> Ear:
    """The mean of `PEOPLE` drawn left ears without tumour on a turbo spin echo; the same at every call."""
    total, ends, size = 0.0, [], tuple(2 * n + 1 for n in DRAWN_HALF_ZYX)
    for seed in range(PEOPLE):
        patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(seed))
        patient = replace(patient, turn_deg=np.zeros(3), shift_mm=np.zeros(3))
        ear = patient.ears[0]
        middle = 0.5 * (ear.porus + ear.fundus)
        origin = middle - DRAWN_MM * np.array(DRAWN_HALF_ZYX[::-1])
        grid = Geometry(size, (DRAWN_MM,) * 3, tuple(origin), tuple(np.eye(3).ravel()))
        signal = draw(patient, SEQUENCES["tse"], grid)[0]
        total = total + signal / np.percentile(signal, 99)
        ends.append((ear.porus - middle, ear.fundus - middle))
    return Ear(total / PEOPLE, *np.mean(ends, axis=0))


def sharpen(image: np.ndarray, step_mm: float) -> np.ndarray:
    """The root of an image (Z, Y, X) that is 0 and up, less its blur in plane."""
    root = np.sqrt(np.maximum(image, 0))
    return root - ndimage.gaussian_filter(root, (0, BACKGROUND_MM / step_mm, BACKGROUND_MM / step_mm))


def match(image: np.ndarray, slice_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """How alike each place of `image` (Z, Y, X), sharpened, is to the middle of a left canal: -1 to 1, and its pose.

    `slice_mm` is the thickness of the slices that the image was acquired with.
    """
    points, weight, origin = _patch()
    total = weight.sum()
    padding = [(at, n - 1 - at) for at, n in zip(origin, weight.shape, strict=True)]
    padded = np.pad(image, padding, mode="edge")
    size = [fft.next_fast_len(n, real=True) for n in padded.shape]
    window = tuple(slice(0, n) for n in image.shape)

    def weigh(spectrum: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        return fft.irfftn(spectrum * np.conj(fft.rfftn(kernel, size)), size)[window] / total

    spectrum = fft.rfftn(padded, size)
    variance = weigh(fft.rfftn(padded * padded, size), weight) - weigh(spectrum, weight) ** 2
    spread = np.sqrt(np.maximum(variance, max(FLAT * float(variance.max()), 1e-9)))
    best, pose = np.full(image.shape, -1.0), np.zeros(image.shape, dtype=int)
    for number, values in enumerate(_turned(points, slice_mm)):
        offset = values - (values * weight).sum() / total
        score = weigh(spectrum, offset * weight) / (spread * np.sqrt((offset**2 * weight).sum() / total))
        pose[score > best] = number
        best = np.maximum(best, score)
    return best, pose


@cache
def around_canal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (N, xyz) around a left canal's middle, in mm; which of them drawn ears have bone at, and fluid."""
    points = _patch()[0].reshape(-1, 3)
    index = points[:, ::-1] / DRAWN_MM + np.array(DRAWN_HALF_ZYX)
    signal = ndimage.map_coordinates(drawn_ear().signal, index.T, order=1)
    near = np.abs(points[:, 2]) < 7
    return points, (signal < BONE) & near & (points[:, 0] > -4), (signal > FLUID) & near & (points[:, 0] > -2)


def _patch() -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Points (Z, Y, X, xyz) in mm from the canal's middle, their weights, and the middle's index."""
    axes = [np.arange(np.ceil(low / GRID_MM), np.floor(high / GRID_MM) + 1) * GRID_MM for low, high in PATCH_MM]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    weight = np.ones(z.shape)
    for values, (low, high) in zip((z, y, x), PATCH_MM, strict=True):
        reach = np.abs(values - 0.5 * (low + high)) / (0.5 * (high - low))
        weight *= np.clip((1.15 - reach) / 0.4, 0, 1)
    return np.stack([x, y, z], axis=-1), weight, tuple(int(np.argmin(np.abs(axis))) for axis in axes)


def _turned(points: np.ndarray, slice_mm: float) -> Iterator[np.ndarray]:
    """The drawn ear at the patch's points, as slices of `slice_mm` show it, in each pose."""
    signal = ndimage.gaussian_filter(drawn_ear().signal, (0, 0.6 / DRAWN_MM, 0.6 / DRAWN_MM))
    signal = ndimage.uniform_filter1d(signal, max(1, round(slice_mm / DRAWN_MM)), axis=0)
    signal = sharpen(signal, DRAWN_MM)
    for angles in POSES_DEG:
        index = (points @ rotation(np.array(angles)))[..., ::-1] / DRAWN_MM + np.array(DRAWN_HALF_ZYX)
        yield ndimage.map_coordinates(signal, np.moveaxis(index, -1, 0), order=1, mode="nearest")
