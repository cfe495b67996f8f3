"""Segment a T2 image: python predict.py T2.nii.gz MASK.nii.gz ROW COLUMN. Research only, not for clinical use."""

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import onnxruntime
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

FOLDER = Path(__file__).parent
PLAN = json.loads((FOLDER / "model.json").read_text())["script"]
image_path, mask_path, row, column = sys.argv[1:]

image = nibabel.Nifti1Image.from_filename(image_path)
own, lps = io_orientation(image.affine), axcodes2ornt("LPS")
turned = image.as_reoriented(ornt_transform(own, lps))
spacing = np.array(turned.header.get_zooms()[1::-1], dtype=float)
given = {"t2": turned.get_fdata(dtype=np.float32).T, "spacing_yx": spacing, "middle_yx": np.array([row, column], float)}

before = onnxruntime.InferenceSession(FOLDER / PLAN["before"])
t1, corners, weight = before.run(None, given)
total, seen = np.zeros((PLAN["classes"], *t1.shape)), np.zeros(t1.shape)
for name in PLAN["folds"]:
    fold = onnxruntime.InferenceSession(FOLDER / name)
    for corner in corners:
        box = tuple(slice(start, start + side) for start, side in zip(corner, weight.shape, strict=True))
        patch = t1[box].reshape(PLAN["patch"])
        for axes in PLAN["flips"]:
            (logits,) = fold.run(None, {"t1": np.ascontiguousarray(np.flip(patch, axes))})
            total[(slice(None), *box)] += weight * np.flip(logits, axes).reshape(-1, *weight.shape)
            seen[box] += weight

behind = onnxruntime.InferenceSession(FOLDER / PLAN["behind"])
(mask,) = behind.run(None, {"logits": np.float32(total / seen), **given})
written = nibabel.Nifti1Image(mask.T, turned.affine)
nibabel.save(written.as_reoriented(ornt_transform(lps, own)), mask_path)
