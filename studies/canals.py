"""How well the canals are found: distance of what `find_canals` says from the canals of drawn heads.

    python studies/canals.py --heads 24                  a few seconds a head on an idle core
    python studies/canals.py --heads 24 --absent         how often it says that it is unsure where there is no canal

Drawn T2 heads of all sites' sequences with slices of 1.5 to 4 mm, every other pair with a tumour. With `--absent` the
slices that show the inner ears are cut off first, so that every answer is wrong. `--by mirror` asks for each ear as the
mirror image of the other's true canal, `--by atlas` carries the canals of a drawn head over by registration. `--images`
names T2 images of one's own, and `--out` a folder for a picture of each head, to judge by eye.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from training.implant.canals import Canal, find_canals, mirrored
from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render, render_signal
from training.phantom.scanner import sample_geometry, sample_protocol
from training.phantom.signals import SEQUENCES
from vestibule.region import find_ears
from vestibule.resampling import resample
from vestibule.volume import Geometry, Volume, read_scan, reorient, to_image

SITES = ("ldn", "etz", "ukm")
GRIDS = ((1.5, 1.0, 60), (2.0, 1.0, 80), (3.3, 0.9, 90), (4.0, 0.8, 84))
"""Slice thickness, voxel size in plane and extent of the slices together, mm."""
NEAR_MM = 4.0
PICTURE_MM = 24.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heads", type=int, default=24, help="drawn heads (default 24)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--absent", action="store_true", help="cut the inner ears off first")
    parser.add_argument(
        "--images", type=Path, nargs="*", default=[], help="T2 images to look at in place of drawn ones"
    )
    parser.add_argument("--by", choices=("find", "mirror", "atlas"), default="find")
    parser.add_argument("--out", type=Path, help="folder for a picture of each head")
    arguments = parser.parse_args()
    rows, seconds = [], []
    for name, image, true in cases(arguments):
        start = time.process_time()
        found = canals_by(arguments.by, image, true)
        seconds.append(time.process_time() - start)
        for side, canal in found.items():
            errors = distances(canal, true[side]) if true else ()
            rows.append((*errors, canal.doubt is not None))
            print(name, side, *(f"{e:.1f}" for e in errors), canal.doubt or "", flush=True)
        if arguments.out:
            draw(arguments.out / f"{name}.png", image, found, true)
    summarise(np.array(rows, dtype=float))
    print(f"{np.median(seconds):.1f} s of CPU a head")


def cases(arguments: argparse.Namespace):
    """Name, T2 image and true canals (None where nobody knows) of each head."""
    for path in arguments.images:
        yield path.name.split(".")[0], read_scan(path), None
    for index in range(0 if arguments.images else arguments.heads):
        image, canals = drawn_head(index, arguments.seed)
        yield f"head{index:02d}", without_ears(image, canals) if arguments.absent else image, canals


def canals_by(how: str, image: Volume, true: dict[str, Canal] | None) -> dict[str, Canal]:
    """Both canals of an image, by one of three ways."""
    if how == "find":
        return find_canals(image)
    if how == "atlas":
        return canals_by_atlas(image)
    if true is None:
        raise SystemExit("canals: error: --by mirror needs drawn heads, whose canals are known")
    return {"left": mirrored(true["right"], image), "right": mirrored(true["left"], image)}


def drawn_head(index: int, seed: int) -> tuple[Volume, dict[str, Canal]]:
    """A T2 image of a drawn head, and its canals by side. Same index and seed, same head."""
    rng = np.random.default_rng((seed, index))
    slice_mm, step_mm, cover_mm = GRIDS[index % len(GRIDS)]
    config = PhantomConfig(
        edition=2023,
        prevalence=float(index // 2 % 2),
        spacing_zyx=(slice_mm, step_mm, step_mm),
        shape_zyx=(round(cover_mm / slice_mm), round(200 / step_mm), round(170 / step_mm)),
    )
    patient = make_patient(config, rng)
    protocol = sample_protocol(SITES[index % len(SITES)], "T2", rng)
    geometry = sample_geometry(protocol, config, rng)
    image, _ = render(patient, SEQUENCES[protocol.sequence], geometry, rng)
    canals = {}
    for side, ear in zip(("left", "right"), patient.ears, strict=True):
        ends = (patient.turn @ (end * [ear.sign, 1, 1]) + patient.shift_mm for end in (ear.porus, ear.fundus))
        canals[side] = Canal(*ends, ear.canal_radius)
    return image, canals


def without_ears(image: Volume, canals: dict[str, Canal]) -> Volume:
    """The slices that lie at least 10 mm above both canals, or below, whichever are more."""
    geometry = image.geometry
    ends = np.array([end for canal in canals.values() for end in (canal.porus, canal.fundus)])
    heights = (ends - np.array(geometry.origin_xyz)) @ geometry.matrix[:, 2] / geometry.spacing_zyx[0]
    gap = 10.0 / geometry.spacing_zyx[0]
    above, below = int(np.ceil(heights.max() + gap)), max(0, int(np.floor(heights.min() - gap)))
    if geometry.size_zyx[0] - above < below:
        return Volume(image.voxels[:below], replace(geometry, size_zyx=(below, *geometry.size_zyx[1:])))
    size = (geometry.size_zyx[0] - above, *geometry.size_zyx[1:])
    origin = tuple(geometry.to_patient(np.array([0, 0, above])).tolist())
    return Volume(image.voxels[above:], replace(geometry, size_zyx=size, origin_xyz=origin))


def canals_by_atlas(image: Volume) -> dict[str, Canal]:
    """The canals of a drawn head, registered to a T2 image."""
    atlas, ends = drawn_atlas()
    way = onto(image, atlas, np.array([*middle_of_ears(atlas)[:2], 0.0]))
    return {side: canal.moved(way.GetInverse()) for side, canal in ends.items()}


def onto(image: Volume, atlas: Volume, ears: np.ndarray) -> sitk.AffineTransform:
    """Where points of `image` lie in `atlas`, whose ears have their middle at `ears`, in patient mm.

    Rigidly from three heights, then from the best one affinely.
    """
    oriented = reorient(image)
    geometry = oriented.geometry
    size = [max(4, int(n * mm / 4)) for n, mm in zip(geometry.size_zyx, geometry.spacing_zyx, strict=True)]
    coarse = resample(oriented, Geometry(tuple(size), (4.0,) * 3, geometry.origin_xyz, geometry.direction))
    fixed, moving = (sitk.Cast(to_image(volume), sitk.sitkFloat32) for volume in (coarse, atlas))
    here = middle_of_ears(oriented)
    tries = []
    for height in (-20.0, 0.0, 20.0):
        rigid = sitk.Euler3DTransform()
        rigid.SetCenter(here.tolist())
        rigid.SetTranslation((ears + np.array([0.0, 0.0, height]) - here).tolist())
        tries.append((register(fixed, moving, rigid, 2.0, 0.2), rigid))
    rigid = min(tries, key=lambda pair: pair[0])[1]
    affine = sitk.AffineTransform(3)
    affine.SetCenter(rigid.GetCenter())
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    register(fixed, moving, affine, 1.5, 0.4)
    return affine


def register(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform, blur_mm: float, share: float) -> float:
    """Improve `transform` in place by Mattes' mutual information at a `share` of the voxels; return its negative."""
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
    slices, *size = oriented.geometry.size_zyx
    y, x = find_ears(oriented) or ((n - 1) / 2 for n in size)
    return oriented.geometry.to_patient(np.array([x, y, (slices - 1) / 2]))


@cache
def drawn_atlas() -> tuple[Volume, dict[str, Canal]]:
    """A drawn head of mean size that lies straight, with voxels of 2 mm, and its canals; their middle is at z = 0."""
    patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(7))
    head = replace(patient.head, scale_xyz=np.ones(3))
    patient = replace(patient, head=head, turn_deg=np.zeros(3), shift_mm=np.zeros(3))
    geometry = Geometry((56, 110, 86), (2.0, 2.0, 2.0), (-85.0, -101.0, -51.0), tuple(np.eye(3).ravel()))
    signal, _ = render_signal(patient, SEQUENCES["tse"], geometry)
    sides = zip(("left", "right"), patient.ears, strict=True)
    canals = {side: Canal(*(end * [ear.sign, 1, 1] for end in (ear.porus, ear.fundus))) for side, ear in sides}
    return Volume(signal, geometry), canals


def distances(found: Canal, true: Canal) -> tuple[float, float, float]:
    """From the true canal: of the middle and of the porus in mm, and the angle between both in degrees."""
    ways = [(canal.fundus - canal.porus) / canal.length_mm for canal in (found, true)]
    middle = 0.5 * (found.porus + found.fundus - true.porus - true.fundus)
    angle = np.degrees(np.arccos(np.clip(ways[0] @ ways[1], -1, 1)))
    return float(np.linalg.norm(middle)), float(np.linalg.norm(found.porus - true.porus)), float(angle)


def summarise(rows: np.ndarray) -> None:
    """Print medians, 90th percentiles, the share that is near, and how doubts fall on right and wrong answers."""
    doubted = rows[:, -1] > 0
    print(f"\n{len(rows)} sides, {int(doubted.sum())} in doubt")
    if rows.shape[1] == 1:
        return
    print("| | median | 90th percentile | largest |\n|---|---:|---:|---:|")
    for name, values in zip(("middle, mm", "porus, mm", "angle, degrees"), rows[:, :3].T, strict=True):
        print(f"| {name} | {np.median(values):.1f} | {np.percentile(values, 90):.1f} | {values.max():.1f} |")
    near = rows[:, 0] <= NEAR_MM
    print(f"within {NEAR_MM:g} mm: {near.mean():.0%}")
    print(f"in doubt: {int((doubted & ~near).sum())} of {int((~near).sum())} wrong, ", end="")
    print(f"{int((doubted & near).sum())} of {int(near.sum())} right")


def draw(path: Path, image: Volume, found: dict[str, Canal], true: dict[str, Canal] | None) -> None:
    """Axial cuts through the found canals (red, dot at the porus), with the true ones (blue)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    for column, side in enumerate(("right", "left")):
        canal = found[side]
        middle = 0.5 * (canal.porus + canal.fundus)
        count = int(4 * PICTURE_MM) + 1
        first = tuple(middle - [PICTURE_MM, PICTURE_MM, 0])
        plane = resample(image, Geometry((1, count, count), (1, 0.5, 0.5), first, tuple(np.eye(3).ravel())))
        extent = (first[0], first[0] + 2 * PICTURE_MM, first[1] + 2 * PICTURE_MM, first[1])
        for offset, lines in ((0, ()), (1, (("r.-", canal), *([("c-", true[side])] if true else ())))):
            axis = figure.add_subplot(1, 4, 2 * column + offset + 1)
            axis.imshow(plane.voxels[0], cmap="gray", extent=extent, vmax=np.percentile(plane.voxels, 99.5))
            for style, line in lines:
                axis.plot(*np.stack([line.porus, line.fundus])[:, :2].T, style, markevery=[0], linewidth=1)
            axis.set_title(f"{side}, z {middle[2]:.0f} mm{', in doubt' if canal.doubt else ''}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)


if __name__ == "__main__":
    main()
