"""Cochleae of pseudo-labels given the shape that they have on T1, in the place that the images of all patients tell.

A translation may draw a cochlea smaller than its label. A segmenter that learns from such images marks more than it
sees, on real T2, too, and not where it lies. But cochleae differ little from person to person: the labels of T1 tell
their shape and volume, and registration where those of T2 lie. Both together put a mask right without a label of T2.
Our method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np

from training.data.slices import PreparedCase
from training.pseudo_labels.anatomy import labelled_volumes
from training.pseudo_labels.ears import AIR, Ear, Pose, align, cut_out, from_frame, in_frame, middle_of
from vestibule.editions import COCHLEA, Edition
from vestibule.files import atomic
from vestibule.progress import track

FOLDER = "fitted"
"""Of the masks that are learnt from, within the round's folder."""
RARELY = 0.05
"""Share of the labels below which a voxel of the frame belongs to no cochlea. Our choice."""


@dataclass(frozen=True)
class Typical:
    """A cochlea as the labels of T1 have it."""

    volume: float
    """Median, mm³."""
    shape: np.ndarray
    """Share of the labels that each voxel of the frame belongs to, float32 (Z, Y, X)."""
    image: np.ndarray
    """Mean of T1 at the frame's voxels, float32 (Z, Y, X)."""


@dataclass(frozen=True)
class Place:
    """Where an ear was cut out of a case."""

    window: tuple[slice, ...]
    mirrored: bool
    ear: Ear


def typical_cochlea(cases: Sequence[PreparedCase], edition: Edition) -> Typical | None:
    """The cochlea of labelled cases, those of the second side mirrored; None where no case has any.

    Args:
        cases: Labelled T1.
        edition: What labels mean.
    """
    volumes = labelled_volumes(cases, edition).get(COCHLEA)
    if not volumes:
        return None
    shapes = []
    images = []
    for case in cases:
        mask = edition.mask_of(case.labels, COCHLEA)
        shown = np.asarray(case.image)
        for labels, image in zip(
            ears_of(mask, mask, case.spacing_zyx),
            ears_of(mask, shown, case.spacing_zyx),
            strict=True,
        ):
            pose = Pose(labels.ear.centre_xyz)
            shapes.append(in_frame(labels.ear.image, pose, 0.0))
            images.append(in_frame(image.ear.image, pose, AIR))
    return Typical(
        volume=median(volumes) / 2,
        shape=np.mean(shapes, axis=0),
        image=np.mean(images, axis=0),
    )


def fit_cochleae(cases: Sequence[PreparedCase], typical: Typical | None, edition: Edition) -> list[np.ndarray]:
    """Masks whose cochleae have the typical shape and volume, on each side of the head where there is one.

    Other structures keep their voxels.

    Args:
        cases: Real T2 in [-1, 1] with pseudo-labels; the middle column of an image lies between the sides of the head.
        typical: What a cochlea is like; None: masks stay as they are.
        edition: What labels mean.

    Returns:
        New labels (Z, Y, X) of the type of the old ones, a case each.
    """
    fitted = [np.array(case.labels) for case in cases]
    if typical is None:
        return fitted

    places: list[tuple[int, Place]] = []
    for number, case in enumerate(track(cases, "cochleae")):
        mask = edition.mask_of(fitted[number], COCHLEA)
        for place in ears_of(mask, np.asarray(case.image), case.spacing_zyx):
            places.append((number, place))
        fitted[number][mask] = 0
    if not places:
        return fitted

    (value,) = edition.values_of(COCHLEA)
    poses = align([place.ear for _, place in places], typical.image)
    for (number, place), pose in zip(places, poses, strict=True):
        labels = fitted[number]
        if place.mirrored:
            # A view, so that what is set is set in the labels.
            labels = labels[:, :, ::-1]
        part = labels[place.window]
        share = from_frame(typical.shape, place.ear.image, pose)
        is_free = part == 0
        candidates = np.flatnonzero(is_free & (share >= RARELY))
        # Stable, so that of equal voxels the same are taken on every machine.
        order = np.argsort(-share.flat[candidates], kind="stable")
        voxel_mm3 = float(np.prod(cases[number].spacing_zyx))
        voxels = round(typical.volume / voxel_mm3)
        chosen = candidates[order[:voxels]]
        part.flat[chosen] = value
    return fitted


def write_fitted(cases: Sequence[PreparedCase], masks: Sequence[np.ndarray], folder: Path) -> list[PreparedCase]:
    """The cases with fitted masks in place of the others.

    Args:
        cases: Real T2 with pseudo-labels.
        masks: In the order of the cases, (Z, Y, X).
        folder: Where the new masks are written, uint8.
    """
    folder.mkdir(exist_ok=True)
    written = []
    for case, labels in zip(cases, masks, strict=True):
        path = folder / f"{case.name}.npy"
        with atomic(path) as partial:
            np.save(partial, labels)
        written.append(replace(case, label_path=path))
    return written


def ears_of(mask: np.ndarray, shown: np.ndarray, spacing_zyx: tuple[float, float, float]) -> list[Place]:
    """The ears of a head that have a cochlea in the mask, each with where it was cut out.

    Args:
        mask: Of the cochleae, (Z, Y, X).
        shown: What is cut out, of the same shape.
        spacing_zyx: Of both, mm.
    """
    places = []
    middle = mask.shape[2] // 2
    for mirrored in (False, True):
        # As seen from its own side, an ear lies in the first half of the columns.
        columns = slice(None, None, -1) if mirrored else slice(None)
        side = mask[:, :, columns].copy()
        side[:, :, middle:] = False
        if side.any():
            middle_zyx = middle_of(side)
            image, window = cut_out(shown[:, :, columns], spacing_zyx, middle_zyx)
            centre_zyx = middle_zyx * spacing_zyx
            ear = Ear(image, tuple(centre_zyx[::-1].tolist()))
            place = Place(window, mirrored, ear)
            places.append(place)
    return places
