"""The ears of many T2 images in one frame, by what the images show: a group-wise rigid registration without labels.

A mask of one image tells where a cochlea lies, and errs. Inner ears of people are much alike, so each image is brought
onto the mean of all, which tells how ears lie to each other more exactly than any mask does. Where the cochlea lies in
that mean, the masks do not tell: a network that has learnt from translations errs in one direction everywhere. But the
mean of labelled T1 shows it, and the two means are registered by what they have in common: fluid in bone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from vestibule.components import largest_part
from vestibule.progress import track

FRAME_MM = 0.75
"""Voxel of the frame. Our choice, as all that follows."""
HALF_MM = 9.0
"""Half the width of the frame."""
RADIUS_MM = 6.0
"""Around the cochlea's middle, what is compared of T2: it, the vestibule and the end of the canal."""
CLOSE_MM = 5.0
"""The same for T1 and T2, which have less in common."""
BINS = 16
"""Of the joint histogram of both."""
ROUNDS = 2
"""How often the mean is made anew."""
FARTHEST_MM = 3.0
"""How far a mask may err. An ear that would have to move farther is not believed."""
FARTHEST_RAD = math.radians(20.0)
"""The same for its turn about each axis."""
AIR = -1.0
"""Brightness beyond the image."""


@dataclass(frozen=True)
class Ear:
    """What an image shows of one ear. Ears of the second side are mirrored, so that all are alike."""

    image: sitk.Image
    """T2 around the cochlea; its physical points are mm in the whole image, mirrored or not."""
    centre_xyz: tuple[float, float, float]
    """Middle of the cochlea in the mask, mm."""


@dataclass(frozen=True)
class Pose:
    """How an ear lies: the frame's middle in the image, and the turn."""

    centre_xyz: tuple[float, float, float]
    """mm."""
    turn_xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Angles about the axes, radians."""

    def transform(self) -> sitk.Euler3DTransform:
        """From points of the frame to points of the image."""
        transform = sitk.Euler3DTransform()
        transform.SetRotation(*self.turn_xyz)
        transform.SetTranslation(self.centre_xyz)
        return transform

    def after(self, first: Pose) -> Pose:
        """The pose of points that `first` brings into the frame."""
        own = self.transform()
        turn = np.reshape(own.GetMatrix(), (3, 3)) @ np.reshape(first.transform().GetMatrix(), (3, 3))
        both = sitk.Euler3DTransform()
        both.SetMatrix(turn.ravel().tolist())
        both.SetTranslation(own.TransformPoint(first.centre_xyz))
        return _pose_of(both)


def middle_of(mask: np.ndarray) -> np.ndarray:
    """Middle of the largest part of a mask that is not empty, as an index (z, y, x) with fractions."""
    middle = ndimage.center_of_mass(largest_part(mask))
    return np.array(middle)


def cut_out(
    volume: np.ndarray, spacing_zyx: tuple[float, float, float], middle_zyx: np.ndarray
) -> tuple[sitk.Image, tuple[slice, ...]]:
    """The surroundings of a point, twice as wide as the frame.

    Args:
        volume: (Z, Y, X).
        spacing_zyx: Of it, mm.
        middle_zyx: The point, as an index.

    Returns:
        The part as float32, whose physical points are mm in the whole volume, and where it lies there.
    """
    spacing = np.array(spacing_zyx)
    reach = np.ceil(2 * HALF_MM / spacing)
    first = np.floor(middle_zyx) - reach
    first = first.clip(min=0).astype(int)
    end = np.ceil(middle_zyx) + reach + 1
    # What lies beyond the volume is left out.
    window = tuple(map(slice, first.tolist(), end.astype(int).tolist()))
    part = volume[window].astype(np.float32)

    image = sitk.GetImageFromArray(part)
    image.SetSpacing(spacing_zyx[::-1])
    origin = first * spacing
    image.SetOrigin(origin[::-1].tolist())
    return image, window


def in_frame(image: sitk.Image, pose: Pose, outside: float) -> np.ndarray:
    """What an image shows at the frame's voxels, float32 (Z, Y, X); `outside` where it ends."""
    frame = _frame()
    transform = pose.transform()
    found = sitk.Resample(image, frame, transform, sitk.sitkLinear, outside)
    return sitk.GetArrayFromImage(found)


def from_frame(values: np.ndarray, image: sitk.Image, pose: Pose) -> np.ndarray:
    """Values of the frame's voxels (Z, Y, X) at those of an image; 0 beyond the frame."""
    frame = _to_frame(values)
    transform = pose.transform()
    inverse = transform.GetInverse()
    found = sitk.Resample(frame, image, inverse, sitk.sitkLinear)
    return sitk.GetArrayFromImage(found)


def align(ears: Sequence[Ear], labelled: np.ndarray) -> list[Pose]:
    """How each ear lies. An ear that is not believed keeps the place that its mask tells.

    Args:
        ears: Of T2; at least one, and more tell more.
        labelled: Mean of T1 in the frame, whose middle is that of the cochleae's labels, (Z, Y, X).

    Returns:
        A pose for each, whose middle is the cochlea's.
    """
    told = [Pose(ear.centre_xyz) for ear in ears]
    poses = told
    near = _within(RADIUS_MM)
    for _ in track(range(ROUNDS), "ears"):
        mean = _mean(ears, poses)
        moved = []
        for ear, pose in zip(ears, poses, strict=True):
            method = _registration(near)
            # No brightness or contrast changes it.
            method.SetMetricAsCorrelation()
            found = _registered(method, mean, ear.image, pose)
            moved.append(found)
        poses = _centred(moved, told)

    middle = middle_on(labelled, sitk.GetArrayFromImage(_mean(ears, poses)))
    believed = []
    for pose, own in zip(poses, told, strict=True):
        at_cochlea = pose.after(middle)
        if not _is_believed(at_cochlea, own):
            at_cochlea = own
        believed.append(at_cochlea)
    return believed


def middle_on(labelled: np.ndarray, mean: np.ndarray) -> Pose:
    """Where the middle of one mean ear lies in another.

    Args:
        labelled: What is seen around the middle of cochleae, of any contrast, in the frame (Z, Y, X).
        mean: Mean of T2, likewise.

    Returns:
        The place, or the middle where this cannot be told.
    """
    same = Pose((0.0, 0.0, 0.0))
    method = _registration(_within(CLOSE_MM))
    method.SetMetricAsMattesMutualInformation(BINS)
    found = _registered(method, _to_frame(labelled), _to_frame(mean), same)
    return found if _is_believed(found, same) else same


def _mean(ears: Sequence[Ear], poses: Sequence[Pose]) -> sitk.Image:
    """The frame with what all ears show on average."""
    shown = []
    for ear, pose in zip(ears, poses, strict=True):
        one = in_frame(ear.image, pose, AIR)
        shown.append(one)
    mean = np.mean(shown, axis=0)
    return _to_frame(mean)


def _registration(near: sitk.Image) -> sitk.ImageRegistrationMethod:
    """A rigid registration of what a mask shows, without its metric."""
    method = sitk.ImageRegistrationMethod()
    # The sum of several threads would change from run to run.
    method.SetNumberOfThreads(1)
    method.SetMetricFixedMask(near)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=0.5,
        minStep=1e-3,
        numberOfIterations=60,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _registered(method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image, begin: Pose) -> Pose:
    """The pose in which `moving` is most like `fixed`; `begin` where there is none."""
    transform = begin.transform()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:
        # The ear has left the image, or the image is all alike.
        return begin
    return _pose_of(transform)


def _pose_of(transform: sitk.Euler3DTransform) -> Pose:
    return Pose(
        transform.GetTranslation(),
        (transform.GetAngleX(), transform.GetAngleY(), transform.GetAngleZ()),
    )


def _centred(poses: Sequence[Pose], told: Sequence[Pose]) -> list[Pose]:
    """Poses that lie, in the median, where the masks tell, without a turn."""
    centres = np.array([pose.centre_xyz for pose in poses])
    masks = np.array([pose.centre_xyz for pose in told])
    turns = np.array([pose.turn_xyz for pose in poses])
    centres -= np.median(centres - masks, axis=0)
    turns -= np.median(turns, axis=0)

    centred = []
    for centre, turn in zip(centres, turns, strict=True):
        pose = Pose(tuple(centre.tolist()), tuple(turn.tolist()))
        centred.append(pose)
    return centred


def _is_believed(pose: Pose, told: Pose) -> bool:
    moved_mm = math.dist(pose.centre_xyz, told.centre_xyz)
    largest_turn = max(map(abs, pose.turn_xyz))
    return moved_mm <= FARTHEST_MM and largest_turn <= FARTHEST_RAD


def _frame() -> sitk.Image:
    """The frame without anything in it."""
    voxels = 2 * round(HALF_MM / FRAME_MM) + 1
    empty = np.zeros((voxels, voxels, voxels))
    return _to_frame(empty)


def _to_frame(values: np.ndarray) -> sitk.Image:
    """Values (Z, Y, X) as an image whose middle is the point 0."""
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing([FRAME_MM] * 3)
    image.SetOrigin([-HALF_MM] * 3)
    return image


def _within(radius_mm: float) -> sitk.Image:
    """The frame's voxels so far from its middle, as a mask."""
    voxels = _frame().GetSize()
    steps = np.indices(voxels) - np.reshape(voxels, (3, 1, 1, 1)) // 2
    distance_mm = FRAME_MM * np.linalg.norm(steps, axis=0)
    near = _to_frame(distance_mm <= radius_mm)
    return sitk.Cast(near, sitk.sitkUInt8)
