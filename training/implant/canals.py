"""Where the internal auditory canals lie: bright tubes on T2 between dark bone, opening into the bright cistern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from training.phantom.tumour import CanalFrame
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig, working_geometry
from vestibule.volume import Volume, reorient, resample, to_image

CANAL_MM = 11.0
CANAL_RADIUS_MM = 2.2
"""Length and half the width of a canal that nobody measured (Gray's Anatomy: some 1 cm long; 4 to 5 mm wide)."""
SLOPE = -0.12
"""How far a canal runs forward for each mm it runs outward, as the phantoms' do on average."""
SIDES = {"left": 1, "right": -1}
"""Patient x grows to the left."""
USUAL_YX_MM = ((-10.0, 7.0), (29.0, 5.0))
"""Where the middle of a canal lies, and its spread: behind the middle of the region of interest, and from the midline.
Phantoms have it at -9 and 28, five real heads at -8 to -14 and 26 to 31."""
ASYMMETRY_MM = (9.0, 13.0, 11.0)
"""How far the two canals may lie from mirrored places, z y x together: a head lies tilted."""


@dataclass(frozen=True)
class Canal:
    """A canal by its two ends, in patient mm (x, y, z; LPS)."""

    porus: np.ndarray
    fundus: np.ndarray
    radius_mm: float = CANAL_RADIUS_MM

    @property
    def length_mm(self) -> float:
        """From porus to fundus."""
        return float(np.linalg.norm(self.fundus - self.porus))

    def frame(self) -> CanalFrame:
        """Axes for a tumour: outward along the canal, back, up."""
        along = (self.fundus - self.porus) / self.length_mm
        back = np.array([0.0, 1.0, 0.0]) - along[1] * along
        back /= np.linalg.norm(back)
        up = np.cross(along, back)
        axes = np.stack([along, back, up if up[2] > 0 else -up])
        side = np.sign(along[0])
        angle = np.deg2rad(35.0)
        return CanalFrame(self.porus, axes, axes @ np.array([-side * np.sin(angle), np.cos(angle), 0.0]))

    def moved(self, transform: sitk.Transform) -> Canal:
        """The canal at the points that `transform` takes its ends to."""
        ends = (np.array(transform.TransformPoint(end.tolist())) for end in (self.porus, self.fundus))
        return Canal(*ends, self.radius_mm)


def find_canals(t2: Volume) -> dict[str, Canal]:
    """The canals of a T2 image, `left` and `right`, found together: each at the mirrored place of the other, or nearly.

    A place counts by how bright a bar of 3 x 9 mm is, and the same bar 9 mm nearer to the midline (the cistern), above
    twice the brighter of its flanks before and behind: bone is dark, brain is not. Usual places count more. Of ten
    sides of five real scans with slices of 3 to 4 mm it found seven; wide fluid above the petrous bone misleads it.
    """
    oriented = reorient(t2)
    grid = working_geometry(oriented, PreprocessingConfig((1.0, 1.0), (96, 96)))
    image = resample(oriented, grid).voxels
    slice_mm, size_x = grid.spacing_zyx[0], grid.size_zyx[2]
    left = _tube_score(image)
    right = _tube_score(image[:, :, ::-1])
    window = [2 * round(limit / step) + 1 for limit, step in zip(ASYMMETRY_MM, (slice_mm, 2, 2), strict=True)]
    together = left + ndimage.maximum_filter(right, window, mode="nearest")
    at_left = np.unravel_index(int(together.argmax()), together.shape)
    near = tuple(slice(max(0, at - size // 2), at + size // 2 + 1) for at, size in zip(at_left, window, strict=True))
    part = right[near]
    at_right = np.array(np.unravel_index(int(part.argmax()), part.shape)) + [w.start for w in near]
    at_right[2] = size_x - 1 - at_right[2]
    return {
        side: _canal_at(grid.to_patient(np.array(at[::-1], dtype=float)), SIDES[side])
        for side, at in (("left", at_left), ("right", at_right))
    }


def align(t1: Volume, t2: Volume) -> sitk.Transform:
    """The rigid transform that takes points of `t2` to the same anatomy in `t1`, by Mattes' mutual information."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.1, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 80)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2])
    method.SetSmoothingSigmasPerLevel([2, 1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    fixed, moving = (sitk.Cast(to_image(reorient(volume)), sitk.sitkFloat32) for volume in (t2, t1))
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    # Heads of one visit lie alike in the scanner; the middle of the voxels is a start only where they do not overlap.
    identity = sitk.Euler3DTransform()
    identity.SetCenter(start.GetCenter())
    method.SetInitialTransform(identity, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        raise InputError("T1 and T2 could not be aligned; do both show the same head?") from error
    return identity


def _tube_score(image: np.ndarray) -> np.ndarray:
    """How much each place (Z, Y, X) on the patient's left looks like the middle of a canal, in image units."""
    bar = ndimage.uniform_filter(image, (1, 3, 9))
    front, back = np.roll(bar, 6, axis=1), np.roll(bar, -6, axis=1)
    medial = np.roll(bar, 9, axis=2)
    tube = np.minimum(bar, medial) - 2 * np.maximum(front, back)
    return np.maximum(tube, 0) * _usual_place(image.shape[1:])


def _usual_place(size_yx: tuple[int, int]) -> np.ndarray:
    """How usual it is for the middle of the canal to lie at each place (Y, X) of a region with voxels of 1 mm."""
    (y, dy), (x, dx) = USUAL_YX_MM
    rows, columns = (
        (np.arange(n) - n / 2 - middle) / spread for n, middle, spread in zip(size_yx, (y, x), (dy, dx), strict=True)
    )
    return np.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)).astype(np.float32)


def _canal_at(middle_xyz: np.ndarray, side: int) -> Canal:
    along = np.array([side, SLOPE, 0.0]) / np.hypot(1, SLOPE)
    return Canal(middle_xyz - 0.5 * CANAL_MM * along, middle_xyz + 0.5 * CANAL_MM * along)
