"""Segment a T2 image with the ONNX files beside this script: python predict.py T2.nii.gz MASK.nii.gz ROW COLUMN.

ROW and COLUMN are the middle between the inner ears, in voxels; they are counted from the front and from the right.

Needs numpy, nibabel and onnxruntime alone. Research only, not for clinical use.
"""

import itertools
import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime
from nibabel import orientations

FOLDER = Path(__file__).resolve().parent


def network(name):
    """A function from arrays to arrays."""
    session = onnxruntime.InferenceSession(FOLDER / name)
    (source,) = session.get_inputs()

    def run(values):
        inputs = {source.name: values.astype(np.float32)}
        (result,) = session.run(None, inputs)
        return result

    return run


def weights(places, size, wider):
    """Linear interpolation at places along an axis: (places, size). Places outside of the axis get its edge."""
    inside = places.clip(0, size - 1)
    voxels = np.arange(size)
    apart = np.abs(inside[:, None] - voxels)
    # Wider where voxels become larger, so that none is passed over.
    reach = max(1, wider)
    rows = np.maximum(0, 1 - apart / reach)
    return rows / rows.sum(axis=1, keepdims=True)


def around(middle, size, ratio):
    """Places of the region's voxels along an axis, in voxels of the image."""
    steps = np.arange(size) - (size - 1) / 2
    return float(middle) + steps * ratio


def starts(size, side, step):
    """Where the windows of an axis begin."""
    free = size - side
    count = int(np.ceil(free / (side * step))) + 1
    even = np.linspace(0, free, count)
    return even.round().astype(int)


def bell(side):
    """Weights of a window's voxels along an axis."""
    from_middle = np.arange(side) - side // 2
    deviation = side / 8
    return np.exp(-0.5 * (from_middle / deviation) ** 2)


def segment(volume, plan):
    """The classes' logits (C, Z, Y, X) of a normalised volume, summed over windows."""
    patch = plan["patch_size"]
    # A network of slices has windows of one slice.
    sides = [1, *patch][-3:]
    depth, rows, columns = sides
    weight = np.einsum("z,y,x->zyx", bell(depth), bell(rows), bell(columns))

    # What is smaller than a window is filled up with the mean, which is 0.
    missing = np.maximum(0, np.subtract(sides, volume.shape))
    before = missing // 2
    after = missing - before
    filled = np.pad(volume, np.stack([before, after], axis=1))

    total = np.zeros((plan["classes"], *filled.shape))
    seen = np.zeros(filled.shape)
    folds = [network(name) for name in plan["files"]]
    begins = []
    for size, side in zip(filled.shape, sides, strict=True):
        begins.append(starts(size, side, plan["tile_step"]))
    for z, y, x in itertools.product(*begins):
        box = np.s_[z : z + depth, y : y + rows, x : x + columns]
        window = filled[box].reshape(1, 1, *patch)
        for fold in folds:
            logits = fold(window).reshape(-1, *sides)
            total[(slice(None), *box)] += weight * logits
            seen[box] += weight

    mean = total / seen
    z, y, x = before
    depth, rows, columns = volume.shape
    return mean[:, z : z + depth, y : y + rows, x : x + columns]


def main(image_path, mask_path, row, column):
    """Segment one image."""
    model = json.loads((FOLDER / "model.json").read_text())
    grid = model["image"]
    arm = model["arms"][model["default_arm"]]

    # To axes z, y, x that run to head, back and left.
    image = nibabel.load(image_path)
    own = orientations.io_orientation(image.affine)
    lps = orientations.axcodes2ornt("LPS")
    to_lps = orientations.ornt_transform(own, lps)
    turned = image.as_reoriented(to_lps)
    volume = turned.get_fdata().T
    step_x, step_y, _ = turned.header.get_zooms()

    # The region around the ears.
    _, size_y, size_x = volume.shape
    rows, columns = grid["size_yx"]
    ratio_y, ratio_x = np.divide(grid["spacing_yx_mm"], (step_y, step_x))
    places_y = around(row, rows, ratio_y)
    places_x = around(column, columns, ratio_x)
    to_rows = weights(places_y, size_y, ratio_y)
    to_columns = weights(places_x, size_x, ratio_x)
    region = to_rows @ volume @ to_columns.T

    # In [-1, 1], then T1, then with mean 0 and deviation 1.
    low, high = np.percentile(region, grid["percentiles"])
    share = (region - low) / (high - low)
    unit = np.clip(2 * share - 1, -1, 1)
    if arm["translator"]:
        translate = network(arm["translator"]["file"])
        unit = translate(unit[:, None])[:, 0]
    normal = (unit - unit.mean()) / unit.std()

    logits = segment(normal, arm["segmenter"])
    shares = np.exp(logits - logits.max(axis=0))
    shares /= shares.sum(axis=0)

    # Back to the image's own voxels; outside of the region all is background.
    back_y = (np.arange(size_y) - places_y[0]) / ratio_y
    back_x = (np.arange(size_x) - places_x[0]) / ratio_x
    from_rows = weights(back_y, rows, 1)
    from_columns = weights(back_x, columns, 1)
    on_image = from_rows @ shares @ from_columns.T
    mask = on_image.argmax(axis=0).astype(np.uint8)
    outside_y = np.abs(back_y - (rows - 1) / 2) > rows / 2
    outside_x = np.abs(back_x - (columns - 1) / 2) > columns / 2
    mask[:, outside_y] = 0
    mask[:, :, outside_x] = 0

    to_own = orientations.ornt_transform(lps, own)
    written = nibabel.Nifti1Image(mask.T, turned.affine)
    nibabel.save(written.as_reoriented(to_own), mask_path)


if __name__ == "__main__":
    image, mask, row, column = sys.argv[1:]
    main(image, mask, row, column)
