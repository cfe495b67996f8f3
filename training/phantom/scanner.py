"""The scanner: where a site puts its voxels, and what it does to the signal on the way to an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.phantom.config import PhantomConfig
from training.phantom.shapes import Lattice, rotation
from training.phantom.signals import BalancedSteadyState, Mprage, Sequence, SpoiledGradientEcho, TurboSpinEcho
from training.phantom.tissues import TISSUES
from vestibule.volume import Geometry


@dataclass(frozen=True)
class Protocol:
    """How one site acquires one contrast: a sequence of `signals.SEQUENCES` and ranges for its grid."""

    sequence: str
    spacing_zyx: tuple[tuple[float, float], float, float]
    """Range between slices, then in plane, mm."""
    size_yx: tuple[int, ...]
    """Matrices in use, one of which is drawn."""
    cover_mm: float
    """Extent of the slices together."""


PROTOCOLS: dict[tuple[str, str], tuple[Protocol, ...]] = {
    ("ldn", "ceT1"): (Protocol("mprage", ((1.0, 1.5), 0.4, 0.4), (512,), 150.0),),
    ("ldn", "T2"): (Protocol("ciss", ((1.0, 1.5), 0.5, 0.5), (384, 448), 96.0),),
    ("etz", "ceT1"): (Protocol("spgr", ((1.5, 1.5), 0.8, 0.8), (256,), 150.0),),
    ("etz", "T2"): (Protocol("tse", ((1.0, 1.0), 0.4, 0.4), (512,), 80.0),),
    ("ukm", "ceT1"): (
        Protocol("mprage", ((0.8, 1.5), 0.86, 0.86), (256,), 140.0),
        Protocol("spgr", ((2.0, 3.5), 0.6, 0.6), (320,), 60.0),
    ),
    ("ukm", "T2"): (
        Protocol("ciss", ((0.78, 1.5), 0.6, 0.6), (320,), 60.0),
        Protocol("tse", ((2.0, 3.5), 0.45, 0.45), (448,), 45.0),
    ),
}
"""Spacings and matrices from the challenge; the coverage, and the sequences of the routine site, are choices."""


def sample_protocol(site: str, contrast: str, rng: np.random.Generator) -> Protocol:
    """One of the site's protocols for `ceT1` or `T2`."""
    options = PROTOCOLS[site, contrast]
    return options[rng.integers(len(options))]


def sample_geometry(protocol: Protocol, config: PhantomConfig, rng: np.random.Generator) -> Geometry:
    """A grid around the ears in the scanner's frame: the protocol's, or that of the configuration; sometimes oblique.

    Slices are axial, x runs to the left, y to the back, z up (LPS), but for a turn of a few degrees in `oblique` of
    the cases.
    """
    slice_mm = round(float(rng.uniform(*protocol.spacing_zyx[0])), 2)
    side = int(rng.choice(protocol.size_yx))
    turned, angles = rng.random() < config.oblique, rng.uniform(-1, 1, 3) * (8.0, 4.0, 3.0)
    shift = rng.normal(0, (1.5, 3.0, 2.0))
    spacing = config.spacing_zyx or (slice_mm, *protocol.spacing_zyx[1:])
    size = config.shape_zyx or (max(11, round(protocol.cover_mm / spacing[0])), side, side)
    direction = rotation(angles) if turned else np.eye(3)
    half = (np.asarray(size[::-1]) - 1) / 2 * np.asarray(spacing[::-1])
    return Geometry(
        size_zyx=tuple(int(n) for n in size),
        spacing_zyx=tuple(float(s) for s in spacing),
        origin_xyz=tuple(float(v) for v in shift - direction @ half),
        direction=tuple(float(v) for v in direction.ravel()),
    )


def lattice_in_head(geometry: Geometry, turn: np.ndarray, shift_mm: np.ndarray) -> Lattice:
    """The voxel centres of a scanner grid in the frame of a head that is turned by `turn` and moved by `shift_mm`."""
    first = turn.T @ (np.asarray(geometry.origin_xyz) - shift_mm)
    columns = turn.T @ geometry.matrix * np.asarray(geometry.spacing_zyx[::-1])
    return Lattice(geometry.size_zyx, first, columns.T[::-1].copy())


def acquire(signal: np.ndarray, geometry: Geometry, sequence: Sequence, rng: np.random.Generator) -> np.ndarray:
    """Turn the true signal (Z, Y, X) into a magnitude image in scanner units, float32, in place where it can.

    In the order of physics: receive field, point spread, complex Gaussian noise, magnitude (so the noise is Rician).
    Coil field, sharpness, noise and scale differ from case to case within stated ranges.
    """
    signal *= bias_field(signal.shape, geometry, rng)
    blur(signal, rng.uniform(0.9, 1.25))
    reference = abs(_brain_signal(sequence))
    noise = reference / rng.uniform(18.0, 40.0)
    units = rng.uniform(180.0, 420.0) / reference
    image = add_rician_noise(signal, noise, rng)
    image *= np.float32(units)
    return image


def blur(signal: np.ndarray, width_vox: float) -> None:
    """Blur in place by a Gaussian of full width `width_vox` at half maximum along each axis: the point spread.

    A scanner interpolates a smaller acquired matrix, so that its point spread is about a voxel wide.
    """
    sigma = width_vox / (2 * np.sqrt(2 * np.log(2)))
    for axis in range(3):
        gaussian_filter1d(signal, sigma, axis=axis, mode="nearest", truncate=3.0, output=signal)


def bias_field(size_zyx: tuple[int, ...], geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """A smooth positive field (Z, Y, X) around 1: exp of a quadratic, some 10 % over 80 mm in each term."""
    linear, square, cross = rng.normal(0, 0.10, 3), rng.normal(0, 0.07, 3), rng.normal(0, 0.05)
    axes = [
        ((np.arange(n) - (n - 1) / 2) * step / 80.0) for n, step in zip(size_zyx, geometry.spacing_zyx, strict=True)
    ]
    terms = [np.exp(a * t + b * t * t).astype(np.float32) for a, b, t in zip(linear, square, axes, strict=True)]
    plane = terms[1][:, None] * terms[2][None, :] * np.exp(cross * np.outer(axes[1], axes[2])).astype(np.float32)
    return terms[0][:, None, None] * plane[None]


def add_rician_noise(signal: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude (Z, Y, X) of `signal` with Gaussian noise of `sd` in both parts (Gudbjartsson and Patz 1995)."""
    image = np.empty(signal.shape, dtype=np.float32)
    for k in range(signal.shape[0]):
        real, imaginary = rng.standard_normal((2, *signal.shape[1:]), dtype=np.float32)
        np.hypot(signal[k] + np.float32(sd) * real, np.float32(sd) * imaginary, out=image[k])
    return image


def _brain_signal(sequence: Sequence) -> float:
    return 0.5 * (sequence.signal(TISSUES["white"]) + sequence.signal(TISSUES["grey"]))


def describe(sequence: Sequence) -> str:
    """A sequence in words, for a table."""
    kinds = {Mprage: "MPRAGE", SpoiledGradientEcho: "SPGR", BalancedSteadyState: "CISS", TurboSpinEcho: "TSE"}
    return f"{kinds[type(sequence)]} TR {sequence.tr_ms:g} TE {sequence.te_ms:g} ms"
