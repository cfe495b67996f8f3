"""Paint a tumour into an image: shape by the canal, brightness by the image's own brain and fluid, noise by its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.implant.canals import Canal
from training.phantom.lattice import Lattice, xyz_of
from training.phantom.scanner import blur
from training.phantom.shapes import coverage
from training.phantom.signals import SEQUENCES, Sequence, tissue_signal
from training.phantom.tissues import TISSUES
from training.phantom.tumour import sample_tumour
from training.phantom.tumour_shape import Tumour
from training.phantom.tumour_signal import tumour_on
from vestibule.errors import InputError
from vestibule.volume import Volume

SEQUENCE_OF = {"T1": "spgr", "T2": "tse"}
"""Whose contrast a tumour gets where nothing else is said: a spoiled echo after contrast agent, a turbo spin echo."""
FINE_MM = 0.6
"""Sub-voxels are at most this wide."""
LOOK_MM = 45.0
"""How far from the porus the image's look is measured."""
BRAIN_BOX_MM = ((-16.0, 0.0), (14.0, 34.0), (-8.0, 8.0))
"""Cerebellum, from the porus outward, back and up."""
FLUID_MM = 14.0
"""How far from the porus fluid is looked for: in the canal and in the cistern before it."""
FLUID_PERCENTILE = 98
"""Of the voxels there, which is fluid alone."""
POINT_SPREAD_VOX = 1.1
UNTOUCHED = 0.01
"""Where a tumour fills less of a voxel, the voxel stays bit for bit."""
BEYOND = 0.05
"""Where a tumour fills less of a voxel, its brightness is that of the nearest voxel of which it fills more."""


@dataclass(frozen=True)
class Look:
    """What an image says of its own brightness and noise, in its own units."""

    brain: float
    fluid: float
    noise_sd: float


@dataclass(frozen=True)
class Rendered:
    """A tumour on the voxels of a window (Z, Y, X)."""

    share: np.ndarray
    """Share of each voxel that the tumour fills."""
    intrameatal: np.ndarray
    """Share that its part in the canal fills."""
    brightness: np.ndarray
    """How bright the tumour is, in the image's units, also a little beyond its surface."""


def implant(
    image: Volume, canal: Canal, volume_mm3: float, contrast: str, rng: np.random.Generator, sequence: str | None = None
) -> tuple[Volume, Volume, Tumour]:
    """Put a tumour into a canal and beyond. Outside of it the image is untouched.

    Args:
        image: The head, in any units.
        canal: Where the tumour grows.
        volume_mm3: Its volume.
        contrast: `T1` or `T2`, the image's.
        rng: Random numbers for the tumour's shape and its noise.
        sequence: One of the phantom's; by default that of `SEQUENCE_OF`.

    Returns:
        The image (float32), its label (uint8: 1 out of the canal, 2 in it) and the tumour.

    Raises:
        InputError: The canal lies outside of the image, or the image shows no cerebellum behind it.
    """
    frame = canal.frame()
    tumour = sample_tumour(rng, volume_mm3, canal.length_mm, canal.radius_mm, frame.face_normal)

    lattice = _lattice_of(image)
    margin_mm = 2 * max(image.geometry.spacing_zyx[1:])
    window = lattice.near(frame.porus, tumour.reach + margin_mm)
    if window is None or not _holds(lattice, canal):
        raise InputError("the canal lies outside of the image; give its porus and fundus in patient mm (LPS)")

    physics = SEQUENCES[sequence or SEQUENCE_OF[contrast]]
    look = measure_look(image, lattice, canal, contrast)
    part = lattice.window(window)
    rendered = _render(tumour, canal, part, look, contrast, physics)

    # Noise with the grain of the image: as wide as the point spread, then scaled to the strength that was measured.
    noise = rng.standard_normal(rendered.share.shape).astype(np.float32)
    blur(noise, POINT_SPREAD_VOX)
    strength = look.noise_sd / noise.std()
    noise *= np.float32(strength)
    brightness = rendered.brightness + noise

    # A voxel is labelled by what fills half of it, before the point spread.
    is_tumour = rendered.share >= 0.5
    is_intrameatal = rendered.intrameatal > 0.5 * rendered.share
    label = np.zeros(lattice.size_zyx, dtype=np.uint8)
    label[window][is_tumour] = 1
    label[window][is_tumour & is_intrameatal] = 2

    # The edge is as soft as the image's own.
    share = rendered.share
    blur(share, POINT_SPREAD_VOX)
    share[share < UNTOUCHED] = 0
    voxels = image.voxels.astype(np.float32, copy=True)
    view = voxels[window]
    view += share * (brightness - view)
    return image.with_voxels(voxels), image.with_voxels(label), tumour


def measure_look(image: Volume, lattice: Lattice, canal: Canal, contrast: str) -> Look:
    """Brightness of cerebellum and of fluid near the canal, and noise, in the image's units.

    Fluid on T1 is not measured: a canal is too narrow there to be told from bone; 0 stands for the absence of signal.

    Args:
        image: The head.
        lattice: Its voxel centres in patient mm.
        canal: The canal that a tumour is put into.
        contrast: `T1` or `T2`.

    Returns:
        The look.

    Raises:
        InputError: The image ends before the cerebellum.
    """
    frame = canal.frame()
    window = lattice.near(frame.porus, LOOK_MM)
    if window is None:
        raise InputError("the canal lies outside of the image; give its porus and fundus in patient mm (LPS)")

    near = image.voxels[window]
    x, y, z = lattice.window(window).points()
    outward, back, up = frame.local(x, y, z)

    # A box in which cerebellum lies, whatever the head.
    cerebellum = np.ones(near.shape, dtype=bool)
    for values, (low_mm, high_mm) in zip((outward, back, up), BRAIN_BOX_MM, strict=True):
        cerebellum &= values > low_mm
        cerebellum &= values < high_mm
    if not cerebellum.any():
        raise InputError("the image shows no cerebellum behind the canal to take the brightness of brain from")
    brain = float(np.median(near[cerebellum]))

    # Steps between neighbours hardly hold anatomy. 1.4826 median absolute deviations are a Gaussian's standard
    # deviation, and a difference of two voxels has sqrt(2) times the noise of one.
    first = cerebellum[:, :, :-1]
    second = cerebellum[:, :, 1:]
    neighbours = first & second
    steps = np.diff(near, axis=2)[neighbours]
    deviations = np.abs(steps - np.median(steps))
    deviation = float(np.median(deviations))
    noise_sd = deviation * 1.4826 / np.sqrt(2)

    fluid = 0.0
    if contrast == "T2":
        squared = outward * outward + back * back + up * up
        in_reach = squared < FLUID_MM**2
        brightest = np.percentile(near[in_reach], FLUID_PERCENTILE)
        fluid = float(brightest)
    return Look(brain, fluid, noise_sd)


def _render(tumour: Tumour, canal: Canal, lattice: Lattice, look: Look, contrast: str, sequence: Sequence) -> Rendered:
    """The tumour on the voxels of `lattice`, as bright as it is between the image's own brain and fluid."""
    factors = lattice.factors(FINE_MM, at_least=2)
    fine = lattice.refined(factors)
    width_mm = float(np.mean(fine.spacing_zyx))
    x, y, z = fine.points()
    frame = canal.frame()
    distance, signal, outside_bone = tumour_on(tumour, frame, sequence, x, y, z)

    filled = coverage(distance, width_mm)
    in_canal = filled * ~outside_bone
    share = _mean_of_parts(filled, factors)
    intrameatal = _mean_of_parts(in_canal, factors)

    # Of the tumour's own part of each voxel.
    summed_signal = _mean_of_parts(filled * signal, factors)
    mean_signal = summed_signal / np.maximum(share, 1e-6)

    # Two tissues whose signal is known and whose brightness was measured give the scale: brain and fluid on T2, nothing
    # and brain on T1.
    white = tissue_signal(sequence, TISSUES["white"])
    grey = tissue_signal(sequence, TISSUES["grey"])
    brain = 0.5 * (white + grey)
    if contrast == "T2":
        dark = brain
        bright = tissue_signal(sequence, TISSUES["csf"])
        dark_look = look.brain
        bright_look = look.fluid
    else:
        dark = dark_look = 0.0
        bright = brain
        bright_look = look.brain
    units_per_signal = (bright_look - dark_look) / (bright - dark)
    brightness = dark_look + (mean_signal - dark) * units_per_signal

    # The point spread takes brightness from beyond the surface, where the tumour has none of its own.
    is_beyond = share < BEYOND
    nearest = ndimage.distance_transform_edt(
        is_beyond,
        return_distances=False,
        return_indices=True,
    )
    continued = brightness[tuple(nearest)]
    return Rendered(share, intrameatal, continued.astype(np.float32))


def _lattice_of(image: Volume) -> Lattice:
    """An image's voxel centres in patient mm."""
    geometry = image.geometry
    columns_xyz = geometry.matrix * xyz_of(geometry.spacing_zyx)
    steps_zyx = columns_xyz.T[::-1].copy()
    return Lattice(geometry.size_zyx, np.asarray(geometry.origin_xyz), steps_zyx)


def _holds(lattice: Lattice, canal: Canal) -> bool:
    """Whether both ends of a canal lie in the image."""
    porus = lattice.near(canal.porus, 1.0)
    fundus = lattice.near(canal.fundus, 1.0)
    return porus is not None and fundus is not None


def _mean_of_parts(fine: np.ndarray, factors_zyx: tuple[int, int, int]) -> np.ndarray:
    """Mean over each voxel's sub-voxels: (Z f, Y f, X f) -> (Z, Y, X) float32."""
    split = []
    for size, factor in zip(fine.shape, factors_zyx, strict=True):
        split += [size // factor, factor]
    parts = fine.reshape(split)  # (Z, f, Y, f, X, f)
    return parts.mean(axis=(1, 3, 5), dtype=np.float32)
