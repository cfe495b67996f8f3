"""Time surface metrics against SciPy on the full volume, MONAI and evalutils, and print the ratios.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py                 a quiet machine; about 10 minutes
    OMP_NUM_THREADS=1 python benchmarks/metrics.py --only blob --repeat 5

Each pair of masks is a case of 512 x 512 x 120 voxels of 0.4 x 0.4 x 1.5 mm. Values should agree to 1e-9 with SciPy and
to 1e-5 with MONAI, which computes in float32. MedPy is timed where it is installed. Nothing is asserted about time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy import ndimage

from evaluation.metrics import SurfaceDistances, detect, dice, surface_distances

SHAPE = (120, 512, 512)
SPACING = (1.5, 0.4, 0.4)


def ball(centre_zyx: tuple[float, ...], radius_mm: float) -> np.ndarray:
    """Mask (Z, Y, X) of a ball around a voxel."""
    grid = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    parts = [((axis - c) * step) ** 2 for axis, c, step in zip(grid, centre_zyx, SPACING, strict=True)]
    return sum(parts) <= radius_mm**2


def ellipsoid(part: float, shift_vox: float = 0.0) -> np.ndarray:
    """Mask (Z, Y, X) of an ellipsoid with `part` of the volume's sides as its axes."""
    grid = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    parts = [((axis - (n / 2 + shift_vox)) / (n * part / 2)) ** 2 for axis, n in zip(grid, SHAPE, strict=True)]
    return sum(parts) <= 1


def noise(seed: int) -> np.ndarray:
    """Mask (Z, Y, X) with half of its voxels set at random."""
    return np.random.default_rng(seed).random(SHAPE, dtype=np.float32) < 0.5


PAIRS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "blob": lambda: (ball((60, 256, 258), 12.5), ball((60, 256, 256), 12.5)),
    "far": lambda: (ball((15, 60, 60), 12.5), ball((105, 450, 450), 12.5)),
    "full-blob": lambda: (np.ones(SHAPE, dtype=bool), ball((60, 256, 256), 12.5)),
    "inverted": lambda: (~ball((60, 256, 256), 12.5), ball((60, 256, 256), 12.5)),
    "full-ellipsoid": lambda: (np.ones(SHAPE, dtype=bool), ellipsoid(0.98)),
    "ellipsoids": lambda: (ellipsoid(0.98), ellipsoid(0.9, 2)),
    "noise-noise": lambda: (noise(1), noise(2)),
    "noise-blob": lambda: (noise(1), ball((60, 256, 256), 12.5)),
    "noise-ellipsoid": lambda: (noise(1), ellipsoid(0.98)),
}


def ours(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Every metric of a structure."""
    distances = surface_distances(prediction, reference, SPACING)
    detect(prediction, reference)
    return {"dice": dice(prediction, reference), **_from(distances)}


def with_scipy(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The same by erosions and distance transforms of the whole volume."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, reference)]
    distances = [ndimage.distance_transform_edt(~there, sampling=SPACING)[here] for here, there in (edges, edges[::-1])]
    both = np.count_nonzero(prediction & reference)
    overlap = 2 * both / (np.count_nonzero(prediction) + np.count_nonzero(reference))
    return {"dice": overlap, **_from(SurfaceDistances(*distances))}


def with_monai(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Dice, ASSD and HD95 of MONAI."""
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    batches = [torch.from_numpy(mask)[None, None] for mask in (prediction, reference)]
    options = {"include_background": True, "spacing": SPACING}
    return {
        "dice": float(compute_dice(*batches)),
        "assd": float(compute_average_surface_distance(*batches, symmetric=True, **options)),
        "hd95_directed": float(compute_hausdorff_distance(*batches, percentile=95, **options)),
    }


def with_evalutils(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """HD95 of evalutils, which has no ASSD."""
    from evalutils.stats import percentile_hausdorff_distance

    return {"hd95_directed": float(percentile_hausdorff_distance(prediction, reference, 0.95, SPACING))}


def with_medpy(prediction: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """ASSD and HD95 of MedPy, where it is installed."""
    from medpy.metric import assd, hd95

    return {
        "assd": float(assd(prediction, reference, voxelspacing=SPACING)),
        "hd95_pooled": float(hd95(prediction, reference, voxelspacing=SPACING)),
    }


OTHERS = {"SciPy": with_scipy, "MONAI": with_monai, "evalutils": with_evalutils, "MedPy": with_medpy}


def main() -> None:
    """Print, for each pair of masks, seconds, ratios and the largest difference in value."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--against", nargs="+", choices=OTHERS, default=list(OTHERS))
    parser.add_argument("--repeat", type=int, default=3, help="runs of ours, of which the median counts; default 3")
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores; seconds a structure, all metrics", flush=True)
    for name in options.only:
        prediction, reference = PAIRS[name]()
        runs = [_timed(ours, prediction, reference) for _ in range(options.repeat)]
        seconds, values = median(run[0] for run in runs), runs[0][1]
        print(f"{name:16s} ours {seconds:8.3f} s", flush=True)
        for other in options.against:
            try:
                theirs, their_values = _timed(OTHERS[other], prediction, reference)
            except ImportError:
                print(f"{'':16s} {other} is not installed")
                continue
            apart = max(abs(values[key] - value) for key, value in their_values.items())
            print(
                f"{'':16s} {other:9s} {theirs:8.3f} s  {theirs / seconds:7.1f}x  values differ by {apart:.1e}",
                flush=True,
            )


def _from(distances: SurfaceDistances) -> dict[str, float]:
    return {
        "assd": distances.assd(),
        "hd95_pooled": distances.hd95_pooled(),
        "hd95_directed": distances.hd95_directed(),
    }


def _timed(function: Callable, *masks: np.ndarray) -> tuple[float, dict[str, float]]:
    start = time.perf_counter()
    values = function(*masks)
    return time.perf_counter() - start, values


if __name__ == "__main__":
    main()
