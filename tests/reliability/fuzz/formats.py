"""Mutations that know a format: headers of images and arrays, members of archives."""

from __future__ import annotations

import ast
import gzip
import io
import json
import stat
import struct
import tarfile
import zipfile
from random import Random

import nibabel
import numpy as np

from tests.reliability.fuzz.mutations import (
    BYTES,
    INTEGERS,
    JSON,
    NUMBERS,
    Mutation,
    change_number,
    change_tree,
    odd_value,
    within_gzip,
)

NIFTI_BYTES = nibabel.Nifti1Header.sizeof_hdr
_PLACING = ("srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "pixdim")
_SHAPING = ("dim", "bitpix", "datatype", "vox_offset", "scl_slope", "scl_inter", "magic", "sizeof_hdr", "intent_code")
_NAMES = (
    "../up",
    "/abs",
    "C:/x",
    "a\\..\\..\\b",
    "./a",
    "a//b",
    "a/../b",
    "ü",
    "a" * 300,
    "",
    ".",
    "..",
    "a\nb",
    "\x1b[2J",
)


def change_nifti_field(content: bytes, rng: Random) -> bytes:
    """Another value in a field of a NIfTI-1 header, mostly in one that tells shape, type or place."""
    if len(content) < NIFTI_BYTES:
        return content
    raw = np.frombuffer(content[:NIFTI_BYTES], dtype=nibabel.nifti1.header_dtype).copy()
    names = rng.choice([_PLACING, _SHAPING, ("qform_code", "sform_code", "xyzt_units"), raw.dtype.names])
    field = raw[rng.choice(names)].reshape(-1)
    place = rng.randrange(field.size)
    if field.dtype.kind == "S":
        field[place] = rng.choice([b"", b"n+1", b"ni1", b"n+2", rng.randbytes(4)])
        return raw.tobytes() + content[NIFTI_BYTES:]

    value = float(field[place])
    changed = rng.choice(
        [*NUMBERS, *map(float, INTEGERS[:14]), value + 1, value - 1, -value, value * 2, value * 1.0005, value / 1000]
    )
    with np.errstate(all="ignore"):
        field[place] = np.float64(changed).astype(field.dtype)
    return raw.tobytes() + content[NIFTI_BYTES:]


def swap_nifti(content: bytes, rng: Random) -> bytes:
    """The header in the other order of bytes; the voxels with it or not."""
    if len(content) < NIFTI_BYTES:
        return content
    raw = np.frombuffer(content[:NIFTI_BYTES], dtype=nibabel.nifti1.header_dtype)
    voxels = content[NIFTI_BYTES:]
    if rng.random() < 0.5:
        size = max(1, int(raw["bitpix"]) // 8)
        body = voxels[4:]
        if size in (2, 4, 8) and len(body) % size == 0:
            voxels = voxels[:4] + np.frombuffer(body, f"u{size}").byteswap().tobytes()
    return raw.byteswap().tobytes() + voxels


NIFTI: tuple[Mutation, ...] = (
    *[within_gzip(change_nifti_field)] * 10,
    within_gzip(swap_nifti),
    *[within_gzip(mutation) for mutation in BYTES],
    *BYTES,
)


def change_metaimage_line(content: bytes, rng: Random) -> bytes:
    """Another line in a MetaImage's header: value, key, order, doubled, foreign, or in other letters."""
    end = content.find(b"ElementDataFile")
    end = content.find(b"\n", end) + 1
    if end <= 0:
        return content
    lines = content[:end].split(b"\n")[:-1]
    place = rng.randrange(len(lines))
    key, _, value = lines[place].partition(b" = ")
    way = rng.randrange(9)
    if way == 0:
        lines[place] = key + b" = " + change_number(value, rng)
    elif way == 1:
        lines[place] = key.swapcase() + b" = " + value
    elif way == 2:
        odd = rng.choice(
            [
                b"",
                b"True",
                b"False",
                b"LIST",
                b"LOCAL",
                b"../seed.mha",
                b"MET_LONG",
                b"MET_OTHER",
                b"1 2",
                b"nan nan nan",
            ]
        )
        lines[place] = key + b" = " + odd
    elif way == 3:
        added = rng.choice(
            [
                b"HeaderSize = -1",
                b"HeaderSize = 10",
                b"CompressedDataSize = 9",
                b"ElementNumberOfChannels = 3",
                b"Modality = MET_MOD_MR",
                b"Comment = x",
                b"ElementByteOrderMSB = True",
                b"ElementMin = 0",
                b"ElementSize = 1 1 9",
                b"Orientation = 0 1 0 1 0 0 0 0 1",
                b"Position = 1 2 3",
                b"AnatomicalOrientation = LPI",
            ]
        )
        lines.insert(place, added)
    elif way == 4:
        lines.insert(rng.randrange(len(lines)), lines[place])
    elif way == 5:
        del lines[place]
    elif way == 6:
        lines[place] = key + rng.choice([b"=", b"  =  ", b" : ", b" ", b" =\t"]) + value
    elif way == 7:
        lines[place] += rng.choice([b"\r", b" ", b"\0", b" # x", b" 1"])
    else:
        lines.insert(rng.randrange(len(lines)), lines.pop(place))
    return b"\n".join(lines) + b"\n" + content[end:]


METAIMAGE: tuple[Mutation, ...] = (*[change_metaimage_line] * 12, *BYTES)


def change_array_header(content: bytes, rng: Random) -> bytes:
    """Another dictionary in the header of an .npy file, of the right or of another length."""
    start, end = 10, 10 + int.from_bytes(content[8:10], "little")
    try:
        header = ast.literal_eval(content[start:end].decode("latin-1"))
    except (ValueError, SyntaxError):
        return content
    way = rng.randrange(5)
    if way == 0:
        header["descr"] = rng.choice(
            ["|O", "<f8", ">f4", "|V0", "<U9", "|S0", "x", [("a", "<f4")], "<M8[s]", "<c8", "<f2"]
        )
    elif way == 1:
        header["shape"] = rng.choice(
            [(), (0,), (-1, 2, 2), (2**40,), (10**30,), (2,) * 40, (1.5,), "a", tuple(reversed(header["shape"]))]
        )
    elif way == 2:
        header["fortran_order"] = rng.choice([True, None, 1, "x"])
    elif way == 3:
        header.pop(rng.choice(list(header)))
    text = repr(header)
    if way == 4:
        text = rng.choice(
            ["(" * 5000, "{'descr': '<f4', **{}}", "__import__('os').getpid()", "[" * 60, "9" * 5000, "\0", "-" * 9000]
        )
    packed = text.encode("latin-1", "replace") + b"\n"
    told = rng.choice([len(packed), len(packed), len(packed), 0, 65535])
    return content[:8] + struct.pack("<H", told) + packed + content[end:]


ARRAY: tuple[Mutation, ...] = (*[change_array_header] * 6, *BYTES)


def change_safetensors_header(content: bytes, rng: Random) -> bytes:
    """Another table of tensors at the head of a safetensors file, or another length of it."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
    except ValueError:
        return content
    way = rng.randrange(4)
    if way == 0:
        told = rng.choice([0, 1, length - 1, length + 1, 2**40, 2**63, 2**64 - 1])
        return struct.pack("<Q", told) + content[8:]
    if way == 1:
        entry = rng.choice(list(header.values()))
        if isinstance(entry, dict):
            key = rng.choice(list(entry) or ["dtype"])
            entry[key] = rng.choice([odd_value(rng), "F64", "I8", "BF16", "BOOL", [2**40], [0, 2**40], [-1, 3], []])
    else:
        header = change_tree(header, rng)
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + content[8 + length :]


def not_finite(content: bytes, rng: Random) -> bytes:
    """A number among the tensors that is none."""
    place = len(content) - 4 * rng.randint(1, 20)
    return content[:place] + struct.pack("<f", rng.choice(NUMBERS[-2:])) + content[place + 4 :]


SAFETENSORS: tuple[Mutation, ...] = (*[change_safetensors_header] * 6, not_finite, *BYTES)


def change_zip(content: bytes, rng: Random) -> bytes:
    """The same members under other names, of other kinds, or with a size that is not theirs."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(member, archive.read(member)) for member in archive.infolist()]
    except Exception:
        return content
    packed = io.BytesIO()
    odd = rng.randrange(max(1, len(members)))
    with zipfile.ZipFile(
        packed, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    ) as archive:
        for index, (member, data) in enumerate(members):
            info = zipfile.ZipInfo(member.filename)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            if index == odd:
                way = rng.randrange(6)
                if way == 0:
                    info.filename = rng.choice(_NAMES) + rng.choice(["", ".nii.gz"])
                elif way == 1:
                    kind = rng.choice([stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR, 0])
                    info.external_attr = kind << 16
                    data = rng.choice([b"/etc/passwd", b"../seed", data])
                elif way == 2:
                    info.filename = rng.choice(
                        ["__MACOSX/._a.nii.gz", "._a.nii.gz", ".DS_Store", "sub/a.nii.gz", "sub/", "A.NII.GZ"]
                    )
                elif way == 3:
                    info.date_time = (1980, 0, 0, 0, 0, 0)
                elif way == 4:
                    info.extra = rng.randbytes(rng.randrange(60))
                else:
                    data = bytes(rng.choice([0, 1, 3 << 20]))
            archive.writestr(info, data)
        archive.comment = rng.choice([b"", b"x", rng.randbytes(300)])
    return packed.getvalue()


def change_zip_directory(content: bytes, rng: Random) -> bytes:
    """Damage within the directory at a zip's end, where sizes, places and names stand again."""
    first = content.rfind(b"PK\x01\x02")
    mutation = rng.choice(BYTES)
    return content[:first] + mutation(content[first:], rng) if first > 0 else content


ZIP: tuple[Mutation, ...] = (*[change_zip] * 6, *[change_zip_directory] * 4, *BYTES)


def change_tar(content: bytes, rng: Random) -> bytes:
    """The same members under other names, of other kinds, or with other documents in them."""
    try:
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as archive:
            members = [(member, archive.extractfile(member).read()) for member in archive if member.isfile()]
    except Exception:
        return content
    packed = io.BytesIO()
    odd = rng.randrange(max(1, len(members)))
    form = rng.choice([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=packed, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for index, (member, data) in enumerate(members):
            info = tarfile.TarInfo(member.name)
            if index == odd:
                way = rng.randrange(4)
                if way == 0:
                    info.name = rng.choice(_NAMES)[: 90 if form == tarfile.USTAR_FORMAT else 400]
                elif way == 1:
                    info.type = rng.choice(
                        [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
                    )
                    info.linkname = "../../seed"
                elif way == 2 and form == tarfile.PAX_FORMAT:
                    info.pax_headers = {
                        rng.choice(["size", "path", "GNU.sparse.major", "mtime", "x"]): rng.choice(
                            ["-1", "9" * 30, "a", "\u0661"]
                        )
                    }
                else:
                    data = rng.choice(JSON)(data, rng)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), 1, mtime=0)


TAR: tuple[Mutation, ...] = (*[change_tar] * 8, *[within_gzip(mutation) for mutation in BYTES], *BYTES)
