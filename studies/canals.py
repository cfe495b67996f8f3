"""How well the canals are found: distance of what `find_canals` says from the canals of rendered heads.

    python studies/canals.py --heads 24                  a few seconds a head on an idle core
    python studies/canals.py --heads 24 --absent         how often it says that it is unsure where there is no canal

Phantoms' T2 of all sites' sequences with slices of 1.5 to 4 mm, every other pair with a tumour. With `--absent` the
slices that show the inner ears are cut off first, so that every answer is wrong. `--by mirror` asks for each ear as the
mirror image of the other's true canal, `--by atlas` carries the canals of a rendered head over by registration.
`--images` names T2 images of one's own, and `--out` a folder for a picture of each head, to judge by eye.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from training.implant.canals import Canal, find_canals, mirrored
from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render, render_signal
from training.phantom.scanner import sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from vestibule.editions import get_edition
from vestibule.region import find_ears
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, read_scan, reorient, to_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

YEAR = 2023
"""Of the edition whose sites' sequences are rendered: it has them all."""
GRIDS = ((1.5, 1.0, 60), (2.0, 1.0, 80), (3.3, 0.9, 90), (4.0, 0.8, 84))
"""Slice thickness, voxel size in plane and extent of the slices together, mm."""
NEAR_MM = 4.0
PICTURE_MM = 24.0
COARSE_MM = 4.0
"""Voxels on which a head is registered."""
STRAIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
Case = tuple[str, Volume, dict[str, Canal] | None]
"""Name, T2 image, and true canals by side; None where nobody knows them."""


def main() -> None:
    """Print the table."""
    arguments = parse()
    rows = []
    seconds = []
    for name, image, true in cases(arguments):
        start = time.process_time()
        found = canals_by(arguments.by, image, true)
        seconds.append(time.process_time() - start)
        for side, canal in found.items():
            errors = distances(canal, true[side]) if true else ()
            rows.append((*errors, canal.doubt is not None))
            print(name, side, *(f"{error:.1f}" for error in errors), canal.doubt or "", flush=True)
        if arguments.out:
            plot(arguments.out / f"{name}.png", image, found, true)
    summarise(np.array(rows, dtype=float))
    print(f"{np.median(seconds):.1f} s of CPU a head")


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """The heads to look at: images of one's own, or else rendered ones."""
    if arguments.images:
        for path in arguments.images:
            name, _, _ = path.name.partition(".")
            yield name, read_scan(path), None
        return
    for index in range(arguments.heads):
        image, canals = rendered_head(index, arguments.seed)
        if arguments.absent:
            image = without_ears(image, canals)
        yield f"head{index:02d}", image, canals


def canals_by(how: str, image: Volume, true: dict[str, Canal] | None) -> dict[str, Canal]:
    """Both canals of an image, by one of three ways."""
    if how == "find":
        return find_canals(image)
    if how == "atlas":
        return canals_by_atlas(image)
    if true is None:
        raise SystemExit("canals: error: --by mirror needs rendered heads, whose canals are known")
    return {"left": mirrored(true["right"], image), "right": mirrored(true["left"], image)}


def rendered_head(index: int, seed: int) -> tuple[Volume, dict[str, Canal]]:
    """A T2 image of a phantom's head, and its canals by side. Same index and seed, same head."""
    rng = np.random.default_rng((seed, index))
    slice_mm, step_mm, cover_mm = GRIDS[index % len(GRIDS)]
    slices = round(cover_mm / slice_mm)
    config = PhantomConfig(
        edition=YEAR,
        prevalence=float(index // 2 % 2),
        spacing_zyx=(slice_mm, step_mm, step_mm),
        shape_zyx=(slices, round(200 / step_mm), round(170 / step_mm)),
    )
    patient = make_patient(config, rng)
    sites = get_edition(YEAR).sites
    protocol = sample_protocol(sites[index % len(sites)], "T2", rng)
    geometry = sample_geometry(protocol, config, rng)
    image, _ = render(patient, SEQUENCES[protocol.sequence], geometry, rng)

    canals = {}
    for side, ear in zip(("left", "right"), patient.ears, strict=True):
        # Ears are described on the patient's left, in the frame of a head that lies straight.
        to_side = np.array([ear.sign, 1, 1])
        porus = patient.turn @ (ear.porus * to_side) + patient.shift_mm
        fundus = patient.turn @ (ear.fundus * to_side) + patient.shift_mm
        canals[side] = Canal(porus, fundus, ear.canal_radius)
    return image, canals


def without_ears(image: Volume, canals: dict[str, Canal]) -> Volume:
    """The slices that lie at least 10 mm above both canals, or below, whichever are more."""
    geometry = image.geometry
    slice_mm = geometry.spacing_zyx[0]
    ends = []
    for canal in canals.values():
        ends += [canal.porus, canal.fundus]
    offsets = np.array(ends) - np.array(geometry.origin_xyz)  # (ends, 3)
    heights = offsets @ geometry.matrix[:, 2] / slice_mm  # in slices
    gap = 10.0 / slice_mm

    first_above = int(np.ceil(heights.max() + gap))
    below = max(0, int(np.floor(heights.min() - gap)))
    above = geometry.size_zyx[0] - first_above
    in_plane = geometry.size_zyx[1:]
    if above < below:
        kept = replace(geometry, size_zyx=(below, *in_plane))
        return Volume(image.voxels[:below], kept)
    corner = geometry.to_patient(np.array([0, 0, first_above]))
    kept = replace(geometry, size_zyx=(above, *in_plane), origin_xyz=tuple(corner.tolist()))
    return Volume(image.voxels[first_above:], kept)


def canals_by_atlas(image: Volume) -> dict[str, Canal]:
    """The canals of a rendered head, registered to a T2 image."""
    atlas, ends = rendered_atlas()
    y_x = middle_of_ears(atlas)[:2]
    to_atlas = onto(image, atlas, np.array([*y_x, 0.0]))
    to_image = to_atlas.GetInverse()
    return {side: canal.moved(to_image) for side, canal in ends.items()}


def onto(image: Volume, atlas: Volume, ears: np.ndarray) -> sitk.AffineTransform:
    """Where points of `image` lie in `atlas`.

    Rigidly from three heights, then from the best one affinely.

    Args:
        image: A head.
        atlas: Another one.
        ears: The middle between the ears of `atlas`, (3,) in patient mm.

    Returns:
        The transform of patient points.
    """
    oriented = reorient(image)
    geometry = oriented.geometry
    size = [max(4, int(n * mm / COARSE_MM)) for n, mm in zip(geometry.size_zyx, geometry.spacing_zyx, strict=True)]
    grid = Geometry(tuple(size), (COARSE_MM,) * 3, geometry.origin_xyz, geometry.direction)
    coarse = resample(oriented, grid)
    fixed = sitk.Cast(to_image(coarse), sitk.sitkFloat32)
    moving = sitk.Cast(to_image(atlas), sitk.sitkFloat32)
    here = middle_of_ears(oriented)

    # The finder of ears tells y and x; how high they lie in the image is anyone's guess.
    tries = []
    for height_mm in (-20.0, 0.0, 20.0):
        start = ears + np.array([0.0, 0.0, height_mm]) - here
        rigid = sitk.Euler3DTransform()
        rigid.SetCenter(here.tolist())
        rigid.SetTranslation(start.tolist())
        disagreement = register(fixed, moving, rigid, blur_mm=2.0, share=0.2)
        tries.append((disagreement, rigid))
    _, rigid = min(tries, key=lambda pair: pair[0])

    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    register(fixed, moving, affine, blur_mm=1.5, share=0.4)
    return affine


def register(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform, blur_mm: float, share: float) -> float:
    """Improve `transform` in place by Mattes' mutual information.

    Args:
        fixed: The image that stays.
        moving: The image that is looked up.
        transform: From points of `fixed` to points of `moving`.
        blur_mm: Width of the smoothing of both.
        share: Of the voxels that are looked at.

    Returns:
        The negative of the information; less is better.
    """
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(share, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(3.0, 0.05, 40)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([1])
    method.SetSmoothingSigmasPerLevel([blur_mm])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return method.GetMetricValue()


def middle_of_ears(oriented: Volume) -> np.ndarray:
    """The middle of the region around the ears, half way up the image, in patient mm."""
    slices, rows, columns = oriented.geometry.size_zyx
    y, x = find_ears(oriented) or ((rows - 1) / 2, (columns - 1) / 2)
    middle = np.array([x, y, (slices - 1) / 2])
    return oriented.geometry.to_patient(middle)


@cache
def rendered_atlas() -> tuple[Volume, dict[str, Canal]]:
    """A phantom's head of mean size that lies straight, with voxels of 2 mm, and its canals, whose middle is z = 0."""
    config = PhantomConfig(prevalence=0.0)
    patient = make_patient(config, np.random.default_rng(7))
    head = replace(patient.head, scale_xyz=np.ones(3))
    patient = replace(patient, head=head, turn_deg=np.zeros(3), shift_mm=np.zeros(3))
    geometry = Geometry((56, 110, 86), (2.0, 2.0, 2.0), (-85.0, -101.0, -51.0), STRAIGHT)
    signal, _ = render_signal(patient, SEQUENCES["tse"], geometry)

    canals = {}
    for side, ear in zip(("left", "right"), patient.ears, strict=True):
        to_side = np.array([ear.sign, 1, 1])
        canals[side] = Canal(ear.porus * to_side, ear.fundus * to_side)
    return Volume(signal, geometry), canals


def distances(found: Canal, true: Canal) -> tuple[float, float, float]:
    """From the true canal: of the middle and of the porus in mm, and the angle between both in degrees."""
    middle_mm = 0.5 * (found.porus + found.fundus - true.porus - true.fundus)
    porus_mm = found.porus - true.porus
    found_way = (found.fundus - found.porus) / found.length_mm
    true_way = (true.fundus - true.porus) / true.length_mm
    # Rounding may lead beyond 1, of which there is no angle.
    cosine = np.clip(found_way @ true_way, -1, 1)
    angle = np.degrees(np.arccos(cosine))
    return float(np.linalg.norm(middle_mm)), float(np.linalg.norm(porus_mm)), float(angle)


def summarise(rows: np.ndarray) -> None:
    """Print medians, 90th percentiles, the share that is near, and how doubts fall on right and wrong answers."""
    is_doubted = rows[:, -1] > 0
    print(f"\n{len(rows)} sides, {int(is_doubted.sum())} in doubt")
    if rows.shape[1] == 1:
        # Of one's own images nobody knows the truth.
        return
    print("| | median | 90th percentile | largest |\n|---|---:|---:|---:|")
    for name, values in zip(("middle, mm", "porus, mm", "angle, degrees"), rows[:, :3].T, strict=True):
        high = np.percentile(values, 90)
        print(f"| {name} | {np.median(values):.1f} | {high:.1f} | {values.max():.1f} |")

    is_near = rows[:, 0] <= NEAR_MM
    is_far = ~is_near
    doubted_wrong = int((is_doubted & is_far).sum())
    doubted_right = int((is_doubted & is_near).sum())
    print(f"within {NEAR_MM:g} mm: {is_near.mean():.0%}")
    print(f"in doubt: {doubted_wrong} of {int(is_far.sum())} wrong, {doubted_right} of {int(is_near.sum())} right")


def plot(path: Path, image: Volume, found: dict[str, Canal], true: dict[str, Canal] | None) -> None:
    """Axial cuts through the found canals (red, dot at the porus), with the true ones (blue).

    Args:
        path: The PNG to write.
        image: The head.
        found: Canals by side.
        true: The true ones, where they are known.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for column, side in enumerate(("right", "left")):
        canal = found[side]
        middle = 0.5 * (canal.porus + canal.fundus)
        first = middle - [PICTURE_MM, PICTURE_MM, 0]
        last = first + 2 * PICTURE_MM
        count = int(4 * PICTURE_MM) + 1
        plane = resample(image, Geometry((1, count, count), (1, 0.5, 0.5), tuple(first), STRAIGHT))
        brightest = np.percentile(plane.voxels, 99.5)
        doubt = ", in doubt" if canal.doubt else ""

        # The cut alone, then with the lines, which hide what they lie on.
        for offset in (0, 1):
            axis = figure.add_subplot(1, 4, 2 * column + offset + 1)
            axis.imshow(
                plane.voxels[0],
                cmap="gray",
                extent=(first[0], last[0], last[1], first[1]),
                vmax=brightest,
            )
            axis.set_title(f"{side}, z {middle[2]:.0f} mm{doubt}")
        _plot_line(axis, "r.-", canal)
        if true:
            _plot_line(axis, "c-", true[side])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)


def _plot_line(axis: Axes, style: str, canal: Canal) -> None:
    ends = np.stack([canal.porus, canal.fundus])  # (2, 3)
    axis.plot(ends[:, 0], ends[:, 1], style, markevery=[0], linewidth=1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=24, help="rendered heads (default 24)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--absent", action="store_true", help="cut the inner ears off first")
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="T2 images in place of rendered ones")
    parser.add_argument("--by", choices=("find", "mirror", "atlas"), default="find")
    parser.add_argument("--out", type=Path, help="folder for a picture of each head")
    return parser.parse_args()


if __name__ == "__main__":
    main()
