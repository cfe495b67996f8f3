"""Checks of a MetaImage before ITK, which follows its header to any file, and takes damaged voxels as they come."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import BinaryIO

from isal import isal_zlib

from vestibule.errors import InputError

MAX_HEADER_BYTES = 64 << 10
"""A header that is longer is refused. ITK writes about 400 bytes, and a line for each DICOM tag where it keeps them."""
MAX_LINE = 2000
"""A longer line is refused: what ITK makes of the rest of it depends on its version."""
_DATA_KEY = "ElementDataFile"
_SWITCHES = ("BinaryData", "BinaryDataByteOrderMSB", "CompressedData", "ElementByteOrderMSB")
_NAMES = (
    _DATA_KEY,
    *_SWITCHES,
    "CenterOfRotation",
    "CompressedDataSize",
    "DimSize",
    "ElementNumberOfChannels",
    "ElementOrigin",
    "ElementSize",
    "ElementSpacing",
    "ElementType",
    "HeaderSize",
    "ImagePosition",
    "NDims",
    "Offset",
    "Orientation",
    "Origin",
    "Position",
    "Rotation",
    "TransformMatrix",
)
"""Keys as ITK knows them: it passes over one in other letters, and takes its default."""
# No separator at a value's start, and no key of several words: ITK and this reader must agree on where a key ends.
_LINE = re.compile(r"([A-Za-z0-9_|.-]{1,80})[ \t]*=[ \t]*((?![:=]).*)")
# Neither NaN nor what a double cannot hold: ITK's stream fails at these, and what it reads then is not the header.
_NUMBER = re.compile(r"[-+]?([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})([eE][-+]?[0-9]{1,2})?")
_ONE_NUMBER = (
    "ndims",
    "id",
    "parentid",
    "headersize",
    "compresseddatasize",
    "compressionlevel",
    "elementmin",
    "elementmax",
    "elementnbits",
    "elementnumberofchannels",
    "elementtointensityfunctionslope",
    "elementtointensityfunctionoffset",
)
_FOUR_NUMBERS = ("color", "sequenceid")
_ONE_EACH_AXIS = (
    "dimsize",
    "elementspacing",
    "elementsize",
    "elementorigin",
    "imageposition",
    "offset",
    "position",
    "origin",
    "centerofrotation",
)
_ONE_EACH_PAIR_OF_AXES = ("transformmatrix", "rotation", "orientation")
_SYNONYMS = (
    ("offset", "position", "origin"),
    ("transformmatrix", "rotation", "orientation"),
)
"""Keys that mean the same; which of them counts where two differ is the reader's secret."""
_ELEMENT_BYTES = {
    "MET_CHAR": 1,
    "MET_UCHAR": 1,
    "MET_SHORT": 2,
    "MET_USHORT": 2,
    "MET_INT": 4,
    "MET_UINT": 4,
    "MET_LONG": 4,
    "MET_ULONG": 4,
    "MET_LONG_LONG": 8,
    "MET_ULONG_LONG": 8,
    "MET_FLOAT": 4,
    "MET_DOUBLE": 8,
}
_PIECE_BYTES = 1 << 20


def check_metaimage(path: Path) -> None:
    """Refuse a MetaImage whose voxels lie elsewhere than behind its own header, or whose header says a thing twice.

    Whoever hands in a mask that names another file would have that file read in its place: a reference, for instance.

    Raises InputError, naming the file and the cause. What is not told here is left to ITK.
    """
    _read_header(path)


def check_voxels(path: Path) -> None:
    """Refuse a MetaImage whose voxels are not whole: ITK fills in what happened to be in memory, and goes on.

    Of a packed image everything is unpacked, none of it kept. Raises InputError, naming the file and the cause.
    """
    seen, start = _read_header(path)
    element = seen.get("elementtype", "")
    if element not in _ELEMENT_BYTES:
        known = ", ".join(_ELEMENT_BYTES)
        raise _damaged(path, f"ElementType is {element[:60]!r}, expected one of {known}")
    if seen.get("binarydata", "False").lower() != "true":
        raise _damaged(path, "its voxels are written out as text, expected BinaryData = True")

    sizes = [int(float(word)) for word in seen["dimsize"].split()]
    expected = math.prod(sizes) * _ELEMENT_BYTES[element]
    with path.open("rb") as stream:
        stream.seek(start)
        if seen.get("compresseddata", "False").lower() == "true":
            if "compresseddatasize" not in seen:
                raise _damaged(path, "no line CompressedDataSize, expected the bytes of its packed voxels")
            packed_bytes = int(float(seen["compresseddatasize"]))
            found = _unpacked_bytes(path, stream, packed_bytes, expected)
        else:
            found = path.stat().st_size - start
    if found < expected:
        raise InputError(f"{path}: truncated, it holds {found} bytes of voxels, its header says {expected}")


def _unpacked_bytes(path: Path, stream: BinaryIO, packed_bytes: int, most: int) -> int:
    """Bytes that the packed voxels unpack to.

    Args:
        path: The file, for messages.
        stream: The file, at its first packed byte.
        packed_bytes: How many the header says that there are.
        most: Bytes that the voxels take.

    Returns:
        The number of bytes.

    Raises:
        InputError: The packed voxels are damaged, truncated or more than `most`.
    """
    unpacking = isal_zlib.decompressobj(isal_zlib.MAX_WBITS + 32)  # with a header of zlib's or of gzip's
    left = max(0, packed_bytes)
    found = 0
    try:
        while not unpacking.eof:
            # A piece at a time, however much it unpacks to.
            piece = unpacking.unconsumed_tail
            if not piece:
                piece = stream.read(min(left, _PIECE_BYTES))
                left -= len(piece)
            unpacked = unpacking.decompress(piece, _PIECE_BYTES)
            if not piece and not unpacked:
                raise InputError(f"{path}: truncated, its packed voxels end early")
            found += len(unpacked)
            if found > most:
                raise InputError(f"{path}: its voxels unpack to more than the {most} bytes that its header says")
    except isal_zlib.error as error:  # type: ignore[misc]  # its stub does not say what it is
        raise InputError(f"{path}: its packed voxels are damaged ({error})") from error
    return found


def _read_header(path: Path) -> tuple[dict[str, str], int]:
    """The header's values by key in small letters, checked, and where in the file it ends."""
    known = {name.lower(): name for name in _NAMES}
    seen: dict[str, str] = {}
    start = 0
    for line in _header_lines(path):
        start += len(line) + 1
        line = line.removesuffix("\r")
        matched = _LINE.fullmatch(line)
        if matched is None or len(line) > MAX_LINE:
            raise _damaged(path, f"expected lines of the form Key = value, got {line[:60]!r}")
        name, value = matched.groups()
        key = name.lower()
        if key in known and name != known[key]:
            raise _damaged(path, f"expected the key {known[key]}, got {name}")
        if name in _SWITCHES and value.strip().lower() not in ("true", "false"):
            raise _damaged(path, f"{name} is {value[:60]!r}, expected True or False")
        if key in seen:
            raise InputError(f"{path}: its header gives {name} twice; expected every key once")
        seen[key] = value.strip()
        if name == _DATA_KEY:
            break

    place = seen.get(_DATA_KEY.lower())
    if place is None:
        raise _damaged(path, "no line ElementDataFile = LOCAL")
    if place != "LOCAL":
        raise InputError(f"{path}: its voxels lie in another file ({place[:60]!r}); expected ElementDataFile = LOCAL")
    _check_numbers(path, seen)
    _check_agreement(path, seen)
    return seen, start


def _header_lines(path: Path) -> list[str]:
    """Lines from the start of the file; behind the header, voxels follow as if they were lines."""
    with path.open("rb") as stream:
        start = stream.read(MAX_HEADER_BYTES)
    # One character a byte, whatever the encoding. Split as ITK splits, by line feeds alone.
    # What follows the last one is no line: it may be the beginning of a longer name than LOCAL.
    return start.decode("latin-1").split("\n")[:-1]


def _check_numbers(path: Path, seen: dict[str, str]) -> None:
    """Refuse a key with too few or too many numbers: ITK would take the next line for one of them."""
    axes = seen.get("ndims", "")
    if not re.fullmatch("[1-9]", axes):
        raise _damaged(path, f"expected NDims = 3, got {axes[:60]!r}")
    expected = dict.fromkeys(_ONE_NUMBER, 1)
    expected |= dict.fromkeys(_FOUR_NUMBERS, 4)
    expected |= dict.fromkeys(_ONE_EACH_AXIS, int(axes))
    expected |= dict.fromkeys(_ONE_EACH_PAIR_OF_AXES, int(axes) ** 2)

    for key, count in expected.items():
        if key not in seen:
            continue
        words = seen[key].split()
        if len(words) != count:
            raise _damaged(path, f"{key} holds {len(words)} numbers, expected {count}")
        for word in words:
            if not _NUMBER.fullmatch(word):
                raise _damaged(path, f"{key} holds {word[:60]!r}, expected a number")


def _check_agreement(path: Path, seen: dict[str, str]) -> None:
    """Refuse voxels that begin elsewhere than behind the header, and two keys of one meaning that differ."""
    skipped = float(seen.get("headersize", "0"))
    if skipped:
        raise _damaged(path, f"HeaderSize is {seen['headersize']}; voxels in the file itself begin behind the header")
    for synonyms in _SYNONYMS:
        given = [key for key in synonyms if key in seen]
        for other in given[1:]:
            first = given[0]
            if seen[other].split() != seen[first].split():
                raise _damaged(path, f"{first} and {other} contradict each other")


def _damaged(path: Path, cause: str) -> InputError:
    return InputError(f"{path}: not an image, or its header is damaged ({cause})")
