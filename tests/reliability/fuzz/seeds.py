"""Good files of every kind, as small as they can be: what is damaged next."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from contract.cases import render_head
from vestibule.geometry import Geometry
from vestibule.volume import Volume

SHAPE_XYZ = (20, 18, 8)
SPACING_XYZ = (5.0, 5.0, 6.0)
"""Coarse, so that the little image still is as large as a head."""


def affine_of(turn_deg: float = 0.0, flip: bool = True) -> np.ndarray:
    """RAS affine (4, 4) of the little images, turned about the patient's long axis."""
    sine, cosine = np.sin(np.radians(turn_deg)), np.cos(np.radians(turn_deg))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]) * SPACING_XYZ
    if flip:
        affine[:3, :2] *= -1
    affine[:3, 3] = (41.0, 37.5, -20.25)
    return affine


def head() -> Volume:
    """A head that the pipeline takes for one, (Z, Y, X) float32."""
    size_x, size_y, size_z = SHAPE_XYZ
    geometry = Geometry(
        size_zyx=(size_z, size_y, size_x),
        spacing_zyx=SPACING_XYZ[::-1],
        origin_xyz=(-50.0, -45.0, -24.0),
        direction=(1, 0, 0, 0, 1, 0, 0, 0, 1),
    )
    return render_head(geometry, np.random.default_rng(0))


def labels() -> np.ndarray:
    """Labels (X, Y, Z) of edition 2021."""
    values = np.zeros(SHAPE_XYZ, dtype=np.uint8)
    values[4:9, 6:10, 2:5] = 1
    values[13:15, 7:9, 3:4] = 2
    return values


def nifti(voxels: np.ndarray, affine: np.ndarray, sform: int = 1, qform: int = 1, order: str = "<") -> bytes:
    """A NIfTI-1 file, not packed."""
    header = nibabel.Nifti1Header(endianness=order)
    header.set_data_dtype(voxels.dtype)
    image = nibabel.Nifti1Image(voxels, affine, header)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units("mm")
    return image.to_bytes()


def nifti_files() -> list[bytes]:
    """Several types, both orders of bytes, both forms of placement; packed and not."""
    intensities = head().voxels.transpose(2, 1, 0)
    scaled = nibabel.Nifti1Image(np.round(intensities).astype(np.int16), affine_of())
    scaled.header.set_slope_inter(0.5, -3.0)
    found = [
        nifti(np.round(intensities).astype(np.int16), affine_of()),
        nifti(labels(), affine_of()),
        nifti(intensities.astype(np.float32), affine_of(12.0), qform=0),
        nifti(intensities.astype(np.float64), affine_of(flip=False), sform=0),
        nifti(np.round(intensities).astype(np.uint16), affine_of(30.0), order=">"),
        scaled.to_bytes(),
    ]
    return [*found, *(gzip.compress(content, 1, mtime=0) for content in found)]


def metaimage_files(folder: Path) -> list[bytes]:
    """Packed and not, of several types, and a header whose voxels lie in a file of its own."""
    found = []
    intensities = np.round(head().voxels)
    for number, voxels in enumerate(
        (intensities.astype(np.int16), labels().transpose(2, 1, 0), intensities.astype(np.float32))
    ):
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
        image.SetSpacing(SPACING_XYZ)
        image.SetOrigin((-50.0, -45.0, -24.0))
        if number == 2:
            image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, -1))
        for packed in (True, False):
            path = folder / "seed.mha"
            sitk.WriteImage(image, str(path), packed)
            found.append(path.read_bytes())
        sitk.WriteImage(image, str(folder / "seed.mhd"))
    return [*found, (folder / "seed.mhd").read_bytes()]


def arrays() -> list[bytes]:
    found = []
    for array in (np.zeros((4, 6, 8), np.float16), np.ones((4, 6, 8), np.uint8)):
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    return found


def jobs() -> bytes:
    """The platform's predictions.json of two jobs."""
    found = []
    for number in (1, 2):
        found.append(
            {
                "pk": f"job{number}",
                "inputs": [{"image": {"name": f"crossmoda2021_ldn_{number}_hrT2.mha"}, "socket": {"slug": "t2-mri"}}],
                "outputs": [{"socket": {"slug": "mask", "super_kind": "Image", "relative_path": "images/mask"}}],
                "status": "Succeeded",
            }
        )
    return json.dumps(found, indent=1).encode()


def inputs() -> list[bytes]:
    """The platform's inputs.json, as it is today and as it was."""
    new = [
        {"socket": {"slug": "t2-mri", "super_kind": "Image", "relative_path": "images/t2-mri"}, "image": {"name": "x"}}
    ]
    old = [{"interface": {"slug": "t2-mri"}, "value": None}]
    return [json.dumps(new, indent=1).encode(), json.dumps(old).encode()]


def metrics() -> bytes:
    document = {
        "mode": "default",
        "edition": 2021,
        "case": {"vs_dice": {"0": 0.5}},
        "aggregates": {"vs_dice": {"mean": 0.5}},
    }
    return json.dumps(document, indent=1).encode()


def score_tables() -> list[bytes]:
    """The organisers' wide table of two teams, and what `vestibule evaluate` writes."""
    wide = ["Case,VS_Dice,VS_ASSD,Cochlea_Dice,Cochlea_ASSD,Team"]
    long = ["case,structure,dice,assd_mm,volume_mm3"]
    for case in range(4):
        for number, team in enumerate(("a", "b")):
            wide.append(f"crossmoda2021_ldn_{case},0.8{number},{case}.5,0.7,0.{case + 1},{team}")
        for structure in ("vs", "cochlea"):
            long.append(f"crossmoda2021_ldn_{case},{structure},0.8{case},1.{case},")
    return ["\n".join(lines).encode() + b"\n" for lines in (wide, long)]


def zip_files() -> list[bytes]:
    """Masks to hand in."""
    found = []
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", packing) as archive:
            for number in (1, 2):
                mask = gzip.compress(nifti(labels(), affine_of()), 1, mtime=0)
                archive.writestr(f"crossmoda2021_ldn_{number}_Label.nii.gz", mask)
        found.append(stream.getvalue())
    return found


def tar_files(bundle: Path) -> list[bytes]:
    """An image of `docker save`, and a bundle of weights."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": "user", "Entrypoint": ["python"], "Labels": {"a": "b"}},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": ["layer.tar"]}]
    image = {
        "manifest.json": json.dumps(manifest).encode(),
        "config.json": json.dumps(config).encode(),
        "layer.tar": bytes(512),
    }
    weights = {path.name: path.read_bytes() for path in sorted(bundle.iterdir()) if path.suffix != ".safetensors"}
    found = []
    for content in (image, weights):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, data in content.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        found.append(gzip.compress(stream.getvalue(), 1, mtime=0))
    return found
