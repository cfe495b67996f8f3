"""A submission as small as can be, which breaks the contract in the way that BROKEN names. Standard library alone."""

import gzip
import os
import re
import secrets
import struct
import sys
import urllib.request
from pathlib import Path

BROKEN = os.environ.get("BROKEN", "")
INPUT, OUTPUT = Path("/input"), Path("/output")


def segment_nifti(path: Path) -> None:
    content = gzip.decompress(path.read_bytes())
    header = bytearray(content[:352])
    size = struct.unpack_from("<3h", header, 42)
    count = size[0] * size[1] * size[2]
    code, bits = (16, 32) if BROKEN == "float" else (2, 8)
    struct.pack_into("<2h", header, 70, code, bits)
    struct.pack_into("<3f", header, 108, 352.0, 0.0, 0.0)
    if BROKEN == "flip":
        row = struct.unpack_from("<4f", header, 280)
        struct.pack_into("<4f", header, 280, *(-value for value in row))
        struct.pack_into("<h", header, 252, 0)
    mask = bytearray(count * bits // 8)
    if BROKEN == "random":
        mask[secrets.randbelow(count)] = 1
    if BROKEN == "label":
        mask[0] = 7
    suffix = "_seg.nii.gz" if BROKEN == "name" else "_Label.nii.gz"
    target = OUTPUT / path.name.replace("_hrT2.nii.gz", suffix)
    target.write_bytes(gzip.compress(bytes(header) + bytes(mask), mtime=0))


def segment_job(path: Path) -> None:
    header, end, _ = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    text = re.sub(r"Compressed.*\n", "", header.decode())
    size = [int(number) for number in re.search(r"DimSize = (.*)", text).group(1).split()]
    kind, bytes_each = ("MET_FLOAT", 4) if BROKEN == "float" else ("MET_UCHAR", 1)
    text = re.sub(r"ElementType = .*", f"ElementType = {kind}", text)
    if BROKEN == "flip":
        text = re.sub(r"TransformMatrix = .*", "TransformMatrix = -1 0 0 0 -1 0 0 0 1", text)
    folder = OUTPUT / "images" / "vs"
    folder.mkdir(parents=True)
    suffix = ".mhd" if BROKEN == "name" else ".mha"
    (folder / path.name).with_suffix(suffix).write_bytes(
        text.encode() + end + bytes(size[0] * size[1] * size[2] * bytes_each)
    )
    (OUTPUT / "results.json").write_text("[NaN]" if BROKEN == "json" else "[]")


def main() -> int:
    if BROKEN == "network":
        urllib.request.urlopen("http://weights.invalid/model.pt")
    if BROKEN == "outside":
        Path("/opt/toy/state").write_text("x")
    if BROKEN == "link" and INPUT.is_symlink():
        print("/input: expected a folder", file=sys.stderr)
        return 1
    jobs = sorted(INPUT.glob("images/*/*.mha"))
    failed = []
    for path in jobs or sorted(INPUT.glob("*_hrT2.nii.gz")):
        try:
            segment_job(path) if jobs else segment_nifti(path)
        except (OSError, EOFError) as error:
            failed.append(f"{path}: {error}")
    if failed and BROKEN != "silent":
        print(failed[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
