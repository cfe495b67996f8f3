"""An image as small as can be, which breaks the contract in the way that BROKEN names. Standard library alone.

It segments, or scores where /input holds a submission; API tells whether it does so once or serves.
"""

import gzip
import hashlib
import json
import os
import re
import secrets
import struct
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

BROKEN = os.environ.get("BROKEN", "")
API = os.environ.get("API", "exec")
PORT = int(os.environ.get("PORT", "4743"))
INPUT, OUTPUT = Path(os.environ.get("INPUT", "/input")), Path(os.environ.get("OUTPUT", "/output"))
made = set()
"""Folders that were made."""
remembered = {}
"""What was read of the first job."""


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


def make(folder: Path) -> Path:
    """Make a folder; a server that is broken so makes it once, although it goes after each job."""
    if BROKEN != "folders" or folder not in made:
        folder.mkdir(parents=True)
        made.add(folder)
    return folder


def read(path: Path) -> bytes:
    """The content of a file; a server that is broken so goes on with the first job's."""
    content = path.read_bytes()
    if BROKEN == "remembers":
        return remembered.setdefault(path.suffix, content)
    return content


def segment_job(path: Path) -> None:
    header, end, _ = read(path).partition(b"ElementDataFile = LOCAL\n")
    text = re.sub(r"Compressed.*\n", "", header.decode())
    size = [int(number) for number in re.search(r"DimSize = (.*)", text).group(1).split()]
    kind, bytes_each = ("MET_FLOAT", 4) if BROKEN == "float" else ("MET_UCHAR", 1)
    text = re.sub(r"ElementType = .*", f"ElementType = {kind}", text)
    if BROKEN == "flip":
        text = re.sub(r"TransformMatrix = .*", "TransformMatrix = -1 0 0 0 -1 0 0 0 1", text)
    folder = make(OUTPUT / "images" / "vs")
    suffix = ".mhd" if BROKEN == "name" else ".mha"
    (folder / path.name).with_suffix(suffix).write_bytes(
        text.encode() + end + bytes(size[0] * size[1] * size[2] * bytes_each)
    )
    (OUTPUT / "results.json").write_text("[NaN]" if BROKEN == "json" else "[]")


def score_submission() -> None:
    masks = sorted(INPUT.glob("*/output/images/*/*.mha"))
    digest = hashlib.sha256(b"".join(read(path) for path in masks))
    # No score of anything, but another one for other masks.
    score = float("nan") if BROKEN == "json" else digest.digest()[0] / 255
    details = make(OUTPUT / "details")
    (details / "masks.txt").write_text(f"{len(masks)}")
    (OUTPUT / "metrics.json").write_text(json.dumps({"aggregates": {"score": score}}))


class Handler(BaseHTTPRequestHandler):
    """Answers as the platform expects, but for what BROKEN names."""

    def do_GET(self) -> None:
        status = {"redirect": 307, "unhealthy": 503}.get(BROKEN, 200)
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "/ready")
        self.end_headers()

    def do_POST(self) -> None:
        done = do_job() == 0
        self.send_response((200 if BROKEN == "status" else 201) if done else 500)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    if API == "exec":
        return do_job()
    if BROKEN == "late":
        time.sleep(3600)
    HTTPServer(("", PORT), Handler).serve_forever()
    return 0


def do_job() -> int:
    if BROKEN == "network":
        urllib.request.urlopen("http://weights.invalid/model.pt")
    if BROKEN == "outside":
        Path("/opt/toy/state").write_text("x")
    if BROKEN == "link" and INPUT.is_symlink():
        print("/input: expected a folder", file=sys.stderr)
        return 1
    if (INPUT / "predictions.json").is_file():
        score_submission()
        return 0
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
