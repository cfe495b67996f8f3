"""A MetaImage's voxels lie in its own file and nowhere else."""

import zlib

import numpy as np
import pytest

from vestibule.errors import InputError
from vestibule.geometry import Geometry
from vestibule.volume import Volume, read_header, read_volume, write_volume

HEADER = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    "TransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = 6 5 4\n"
    "ElementType = MET_UCHAR\n"
)
TEXT = HEADER.replace("BinaryData = True", "BinaryData = False")
OWN, SECRET = "ElementDataFile = LOCAL\n", "ElementDataFile = secret.raw\n"


def padded_to(size):
    """A header that is `size` long, ends with LOCAL, and goes on."""
    end = OWN.rstrip()
    lines = [f"a{number} = {'x' * 1000}\n" for number in range(62)]
    start = HEADER + "".join(lines) + "last = "
    return start + "x" * (size - len(start) - len(end) - 1) + "\n" + end


FOREIGN_VOXELS = {
    "named": (HEADER + SECRET, "lie in another file"),
    "a folder above": (HEADER + "ElementDataFile = ../p/secret.raw\n", "lie in another file"),
    "a list of files": (HEADER + "ElementDataFile = LIST\nsecret.raw\n", "lie in another file"),
    "a pattern of files": (HEADER + "ElementDataFile = secret%d.raw 1 4 1\n", "lie in another file"),
    "named first": (HEADER + SECRET + OWN, "lie in another file"),
    "with a colon": (HEADER + "ElementDataFile: secret.raw\n" + OWN, "Key = value"),
    "a key in small letters": (HEADER + "elementdatafile = LOCAL\n" + SECRET, "expected the key ElementDataFile"),
    "a row of numbers cut short": (HEADER.replace("Offset = 0 0 0", "Offset = 0 0") + OWN + SECRET, "holds 2 numbers"),
    "a word for a number": (HEADER + "CompressedDataSize = x\n" + OWN + SECRET, "expected a number"),
    "not a number": (HEADER + "ID = nan\n" + OWN + SECRET, "expected a number"),
    "no number": (HEADER + "SequenceID =\n" + OWN + SECRET, "holds 0 numbers"),
    "an endless line": (HEADER + "Comment = " + "a" * 5000 + SECRET + OWN, "Key = value"),
    "an endless key": (HEADER + "a" * 600 + " = 1\n" + OWN + SECRET, "Key = value"),
    "a key twice": (HEADER + "DimSize = 6 5 4\n" + OWN, "DimSize twice"),
    "its own header for voxels": (HEADER + "HeaderSize = 20\n" + OWN, "HeaderSize is 20"),
    "voxels at the file's end": (HEADER + "HeaderSize = -1\n" + OWN, "HeaderSize is -1"),
    "two origins": (HEADER + "Position = 0 0 9\n" + OWN, "offset and position contradict"),
    "two directions": (HEADER + "Rotation = 0 1 0 1 0 0 0 0 1\n" + OWN, "transformmatrix and rotation contradict"),
    "no voxels": (HEADER, "header is damaged"),
    "cut where it looks whole": (padded_to(64 << 10) + "secret.raw\n", "header is damaged"),
}


@pytest.mark.parametrize(("header", "message"), FOREIGN_VOXELS.values(), ids=FOREIGN_VOXELS)
def test_metaimage_whose_voxels_lie_elsewhere_is_refused_by_header_and_voxels(tmp_path, header, message):
    (tmp_path / "secret.raw").write_bytes(bytes([2]) * 120)
    path = tmp_path / "mask.mha"
    path.write_bytes(header.encode() + bytes([1]) * 120)
    for read in (read_header, read_volume):
        with pytest.raises(InputError, match=rf"mask\.mha: .*{message}"):
            read(path)


@pytest.mark.parametrize(
    "more",
    [
        "",
        "Comment =\n",
        "0008|0005 = ISO_IR 100\n",
        "CenterOfRotation = 0 -1.5 1e-05\n",
        "HeaderSize = 0\nOrigin = 0 0 0\n",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_metaimage_with_its_voxels_in_itself_is_read(tmp_path, more, newline):
    header = (HEADER + more + OWN).replace("\n", newline)
    path = tmp_path / "mask.mha"
    # The voxels may hold what looks like a key.
    path.write_bytes(header.encode() + SECRET.encode() + bytes([1]) * (120 - len(SECRET)))
    assert read_volume(path).voxels.shape == (4, 5, 6)
    assert read_volume(path).voxels.ravel()[-1] == 1


def test_file_of_another_format_under_the_name_of_a_metaimage_is_refused(tmp_path):
    geometry = Geometry((4, 5, 6), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    write_volume(tmp_path / "a.nii", Volume(np.ones((4, 5, 6), np.uint8), geometry))
    (tmp_path / "a.nii").rename(tmp_path / "a.mha")
    with pytest.raises(InputError, match="not an image"):
        read_volume(tmp_path / "a.mha")


def packed(voxels: bytes, size: int | None = None) -> bytes:
    """A MetaImage of 120 bytes of voxels, whose packed ones are `voxels`."""
    told = f"CompressedDataSize = {len(voxels) if size is None else size}\n"
    header = HEADER.replace("CompressedData = False\n", f"CompressedData = True\n{told}") + OWN
    return header.encode() + voxels


WHOLE = zlib.compress(np.arange(120, dtype=np.uint8).tobytes())
BROKEN_VOXELS = {
    "a flipped bit": (packed(WHOLE[:40] + bytes([WHOLE[40] ^ 8]) + WHOLE[41:]), "damaged|unpack to more|truncated"),
    "another checksum": (packed(WHOLE[:-1] + b"x"), "damaged"),
    "an early end": (packed(WHOLE[:50]), "end early"),
    "a size that ends early": (packed(WHOLE, 50), "end early"),
    "a size of none": (packed(WHOLE, 0), "end early"),
    "a size below none": (packed(WHOLE, -1), "end early"),
    "no size": (packed(WHOLE).replace(b"CompressedDataSize", b"Size"), "no line CompressedDataSize"),
    "a size in other letters": (
        packed(WHOLE).replace(b"DataSize", b"Datasize"),
        "expected the key",
    ),
    "no switch": ((HEADER.replace("MSB = False", "MSB =") + OWN).encode() + bytes(120), "True or False"),
    "another switch": (
        (HEADER.replace("MSB = False", "MSB = Yes") + OWN).encode() + bytes(120),
        "True or False",
    ),
    "too few": (packed(zlib.compress(bytes(119))), "holds 119 bytes of voxels, its header says 120"),
    "too many": (packed(zlib.compress(bytes(121))), "unpack to more than the 120 bytes"),
    "a bomb": (packed(zlib.compress(bytes(50 << 20))), "unpack to more than the 120 bytes"),
    "too few, not packed": ((HEADER + OWN).encode() + bytes(119), "holds 119 bytes"),
    "text": (
        (HEADER.replace("BinaryData = True", "BinaryData = False") + OWN + "1 " * 120).encode(),
        "written out as text",
    ),
}


@pytest.mark.parametrize(("content", "message"), BROKEN_VOXELS.values(), ids=BROKEN_VOXELS)
def test_voxels_that_are_not_whole_are_refused_and_never_made_up(tmp_path, content, message):
    path = tmp_path / "mask.mha"
    path.write_bytes(content)
    for read in (read_header, read_volume):
        with pytest.raises(InputError, match=rf"mask\.mha: .*({message})"):
            read(path)


def test_packed_voxels_are_read(tmp_path):
    (tmp_path / "mask.mha").write_bytes(packed(WHOLE))
    np.testing.assert_array_equal(read_volume(tmp_path / "mask.mha").voxels.ravel(), np.arange(120))
