"""The scanner: where a site puts its voxels, and what it does to the signal on the way to an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.phantom.config import PhantomConfig
from training.phantom.lattice import Lattice, xyz_of
from training.phantom.shapes import rotation
from training.phantom.signals import (
    BalancedSteadyState,
    Mprage,
    Sequence,
    SpoiledGradientEcho,
    TurboSpinEcho,
    brain_signal,
)
from vestibule.volume import Geometry


@dataclass(frozen=True)
class Protocol:
    """How one site acquires one contrast: a sequence of `signals.SEQUENCES` and ranges for its grid."""

    sequence: str
    spacing_zyx: tuple[tuple[float, float], float, float]
    """Range between slices, then in plane, mm."""
    size_yx: tuple[int, ...]
    """Matrices in use, one of which is sampled."""
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
ROUTINE_SITE = "ukm"
"""Whose protocols a site has that `PROTOCOLS` does not know: those of clinical routine, which vary most."""

LARGEST_TURN_DEG = np.array([8.0, 4.0, 3.0])
"""About x, y, z: how far an oblique image is turned at most."""
SHIFT_SD_MM = (1.5, 3.0, 2.0)
"""How exactly the grid is centred on the ears, x y z."""
FEWEST_SLICES = 11

POINT_SPREAD_VOX = (0.9, 1.25)
"""Range of the point spread's full width at half maximum. A scanner interpolates a smaller acquired matrix, so that its
point spread is about a voxel wide."""
SIGNAL_TO_NOISE = (18.0, 40.0)
"""Range of the brain's signal in standard deviations of the noise."""
BRAIN_UNITS = (180.0, 420.0)
"""Range of the brain's brightness in scanner units."""
BIAS_LENGTH_MM = 80.0
"""Length over which the receive field changes by some 10 %."""

KINDS = {Mprage: "MPRAGE", SpoiledGradientEcho: "SPGR", BalancedSteadyState: "CISS", TurboSpinEcho: "TSE"}


def protocols_of(site: str, contrast: str) -> tuple[Protocol, ...]:
    """The protocols of a site for `ceT1` or `T2`; those of `ROUTINE_SITE` for a site that nobody described."""
    routine = PROTOCOLS[ROUTINE_SITE, contrast]
    return PROTOCOLS.get((site, contrast), routine)


def sample_protocol(site: str, contrast: str, rng: np.random.Generator) -> Protocol:
    """One of the site's protocols for `ceT1` or `T2`."""
    options = protocols_of(site, contrast)
    return options[rng.integers(len(options))]


def sample_geometry(protocol: Protocol, config: PhantomConfig, rng: np.random.Generator) -> Geometry:
    """A grid around the ears in the scanner's frame: the protocol's, or that of the configuration; sometimes oblique.

    Slices are axial, x runs to the left, y to the back, z up (LPS), but for a turn of a few degrees in `oblique` of
    the cases.

    Args:
        protocol: What the site does.
        config: May fix size and spacing, and has the share of oblique images.
        rng: Random numbers. As many are used whatever the configuration fixes, so that the same patient lies alike.

    Returns:
        The grid.
    """
    # What this scan is like; every number is sampled, whether or not it is used.
    slice_range_mm, row_mm, column_mm = protocol.spacing_zyx
    thickness_mm = float(rng.uniform(*slice_range_mm))
    slice_mm = round(thickness_mm, 2)
    side_vox = int(rng.choice(protocol.size_yx))
    is_oblique = rng.random() < config.oblique
    angles_deg = rng.uniform(-1, 1, 3) * LARGEST_TURN_DEG
    centre_mm = rng.normal(0, SHIFT_SD_MM)

    # What the configuration fixes, and the protocol's own where it does not.
    spacing_zyx = config.spacing_zyx or (slice_mm, row_mm, column_mm)
    slices = round(protocol.cover_mm / spacing_zyx[0])
    slices = max(FEWEST_SLICES, slices)
    size_zyx = config.shape_zyx or (slices, side_vox, side_vox)
    direction = rotation(angles_deg) if is_oblique else np.eye(3)

    # From the middle of the grid to the middle of its first voxel.
    steps_xyz = (xyz_of(size_zyx) - 1) / 2
    half_xyz_mm = steps_xyz * xyz_of(spacing_zyx)
    origin_xyz = centre_mm - direction @ half_xyz_mm

    # Plain numbers, whatever a configuration holds.
    size_z, size_y, size_x = map(int, size_zyx)
    spacing_z, spacing_y, spacing_x = map(float, spacing_zyx)
    origin_x, origin_y, origin_z = origin_xyz.tolist()
    return Geometry(
        size_zyx=(size_z, size_y, size_x),
        spacing_zyx=(spacing_z, spacing_y, spacing_x),
        origin_xyz=(origin_x, origin_y, origin_z),
        direction=tuple(direction.ravel().tolist()),
    )


def lattice_in_head(geometry: Geometry, turn: np.ndarray, shift_mm: np.ndarray) -> Lattice:
    """The voxel centres of a scanner grid in the frame of a head that is turned by `turn` and moved by `shift_mm`."""
    to_head = turn.T
    origin_xyz = np.asarray(geometry.origin_xyz)
    first = to_head @ (origin_xyz - shift_mm)

    # A column of the matrix is the step to the next voxel along x, y or z.
    columns_xyz = to_head @ geometry.matrix * xyz_of(geometry.spacing_zyx)
    steps_zyx = columns_xyz.T[::-1].copy()
    return Lattice(geometry.size_zyx, first, steps_zyx)


def acquire(signal: np.ndarray, geometry: Geometry, sequence: Sequence, rng: np.random.Generator) -> np.ndarray:
    """Turn the true signal (Z, Y, X) into a magnitude image in scanner units, float32, in place where it can.

    In the order of physics: receive field, point spread, complex Gaussian noise, magnitude (so the noise is Rician).
    Coil field, sharpness, noise and scale differ from case to case within stated ranges.

    Args:
        signal: Signal relative to fully relaxed water (Z, Y, X), float32; overwritten.
        geometry: Its grid.
        sequence: What it was acquired with; the brain's signal in it is what noise and units are relative to.
        rng: Random numbers.

    Returns:
        The image (Z, Y, X), float32.
    """
    signal *= bias_field(signal.shape, geometry, rng)
    blur(signal, rng.uniform(*POINT_SPREAD_VOX))

    # Noise and units relative to the brain, which is what an operator looks at.
    brain = abs(brain_signal(sequence))
    noise_sd = brain / rng.uniform(*SIGNAL_TO_NOISE)
    units_per_signal = rng.uniform(*BRAIN_UNITS) / brain
    image = add_rician_noise(signal, noise_sd, rng)
    image *= np.float32(units_per_signal)
    return image


def blur(signal: np.ndarray, width_vox: float) -> None:
    """Blur in place by a Gaussian of full width `width_vox` at half maximum along each axis: the point spread."""
    # A Gaussian falls to one half at sqrt(2 ln 2) standard deviations.
    width_in_sigmas = 2 * np.sqrt(2 * np.log(2))
    sigma_vox = width_vox / width_in_sigmas
    for axis in range(3):
        gaussian_filter1d(
            signal,
            sigma_vox,
            axis=axis,
            mode="nearest",
            truncate=3.0,
            output=signal,
        )


def bias_field(size_zyx: tuple[int, ...], geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """A smooth positive field (Z, Y, X) around 1: exp of a quadratic, some 10 % over 80 mm in each term."""
    linear = rng.normal(0, 0.10, 3)
    square = rng.normal(0, 0.07, 3)
    cross = rng.normal(0, 0.05)

    # The field factors into a term for each axis and one for the plane, so that exp is taken of lines and a plane only.
    axes = []
    terms = []
    for axis, (size, step_mm) in enumerate(zip(size_zyx, geometry.spacing_zyx, strict=True)):
        middle = (size - 1) / 2
        from_middle_vox = np.arange(size) - middle
        t = from_middle_vox * step_mm / BIAS_LENGTH_MM
        axes.append(t)

        exponent = linear[axis] * t + square[axis] * t * t
        term = np.exp(exponent)
        terms.append(term.astype(np.float32))

    _, y, x = axes
    along_z, along_y, along_x = terms
    product = np.outer(y, x)  # (Y, X)
    crossed = np.exp(cross * product).astype(np.float32)
    plane = along_y[:, None] * along_x[None, :] * crossed  # (Y, X)
    return along_z[:, None, None] * plane[None]


def add_rician_noise(signal: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude (Z, Y, X) of `signal` with Gaussian noise of `sd` in both parts (Gudbjartsson and Patz 1995)."""
    size_z, size_y, size_x = signal.shape
    noise_sd = np.float32(sd)
    image = np.empty(signal.shape, dtype=np.float32)

    # Slice by slice, so that the noise of a whole volume never lies in memory.
    for k in range(size_z):
        real, imaginary = rng.standard_normal((2, size_y, size_x), dtype=np.float32)
        real *= noise_sd
        imaginary *= noise_sd
        real += signal[k]
        np.hypot(real, imaginary, out=image[k])
    return image


def describe(sequence: Sequence) -> str:
    """A sequence in words, for a table."""
    kind = KINDS[type(sequence)]
    return f"{kind} TR {sequence.tr_ms:g} TE {sequence.te_ms:g} ms"
