"""What a file may ask of the memory: no small one more than 2 GiB, and a real head far less."""

import subprocess
import sys

import nibabel
import numpy as np
import pytest

from vestibule.errors import InputError
from vestibule.volume import read_header, read_volume

LARGE_XYZ = (512, 512, 128)
READ = """
import re, sys
from pathlib import Path
from vestibule.volume import read_labels, read_scan
volume = {"labels": read_labels, "scan": read_scan}[sys.argv[1]](Path(sys.argv[2]))
assert volume.voxels.max() == 2
# Not by getrusage, which begins with what the parent held.
status = Path("/proc/self/status").read_text()
print(re.search("VmHWM:\\s*(\\d+) kB", status)[1])
"""


def nifti(path, size_xyz, dtype):
    """Zeros that take no room on the disk, but for the first voxels, which are 2."""
    header = nibabel.Nifti1Header()
    header.set_data_shape(size_xyz)
    header.set_data_dtype(dtype)
    header.set_sform(np.diag([0.4, 0.4, 0.4, 1.0]), code=1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    _with_zeros(path, header.binaryblock + bytes(4), size_xyz, dtype)
    return path


def metaimage(path, size_xyz, dtype):
    names = {"f8": "MET_DOUBLE", "u1": "MET_UCHAR"}
    lines = (
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        "TransformMatrix = 1 0 0 0 1 0 0 0 1",
        "Offset = 0 0 0",
        "ElementSpacing = 0.4 0.4 0.4",
        f"DimSize = {' '.join(map(str, size_xyz))}",
        f"ElementType = {names[dtype]}",
        "ElementDataFile = LOCAL\n",
    )
    _with_zeros(path, "\n".join(lines).encode(), size_xyz, dtype)
    return path


def _with_zeros(path, head, size_xyz, dtype):
    first = np.full(1000, 2, dtype=dtype).tobytes()
    path.write_bytes(head + first)
    with path.open("r+b") as stream:
        stream.truncate(len(head) + int(np.prod(size_xyz)) * np.dtype(dtype).itemsize)


@pytest.mark.parametrize(
    ("write", "name", "what", "dtype"),
    [(nifti, "a.nii", "scan", "f8"), (nifti, "a.nii", "labels", "u1"), (metaimage, "a.mha", "scan", "f8")],
    ids=["nifti", "mask", "metaimage"],
)
def test_a_large_head_is_read_in_any_type_in_little_memory(tmp_path, write, name, what, dtype):
    path = write(tmp_path / name, LARGE_XYZ, dtype)
    command = [sys.executable, "-c", READ, what, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    # Libraries take 150 MiB and the voxels 128 as they are kept; ITK holds those of a MetaImage as stored, too, and
    # twice as they are kept.
    most_mib = 750 if write is metaimage else 450
    assert int(done.stdout) / 1024 < most_mib


@pytest.mark.parametrize(("write", "name"), [(nifti, "a.nii"), (metaimage, "a.mha")])
@pytest.mark.parametrize("read", [read_header, read_volume])
def test_more_voxels_than_any_head_has_are_refused_before_they_are_read(tmp_path, write, name, read):
    path = write(tmp_path / name, (1024, 1024, 130), "u1")
    message = r"\(1024, 1024, 130\) voxels are more than the 512 x 512 x 512 that are read; cut the image to the head"
    with pytest.raises(InputError, match=message):
        read(path)
