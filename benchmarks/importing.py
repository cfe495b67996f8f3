"""What `vestibule import tcia-vs-seg` takes of phantoms in DICOM: seconds by the clock and of CPU, and memory.

    python -m benchmarks.importing --out runs/importing        minutes to render the phantoms once, then the import

A patient is T1 and T2 of 80 slices of 448 x 448, each with an RTSTRUCT. Two are rendered, and all others are links to
their files. What other work takes of the machine stands in the seconds by the clock and not in those of CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.timing import machine
from tests.vestibule.dicom.writer import write_series
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from vestibule.dicom.headers import find_series
from vestibule.dicom.images import read_stack
from vestibule.dicom.results import write_rtstruct
from vestibule.editions import get_edition
from vestibule.volume import read_labels, read_volume

YEAR = 2021
RENDERED = 2
"""Phantoms of each contrast; the other patients are links to these."""
SHAPE_ZYX, SPACING_ZYX = (80, 448, 448), (1.5, 0.5, 0.5)
DESCRIPTIONS = {"T1": "t1_mpr_gd", "T2": "t2_ci3d"}


def main() -> None:
    """Render, write DICOM, import, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the phantoms and of the import")
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--workers", type=int, help="processes of the import; by default the cores")
    arguments = parser.parse_args()
    print(machine())
    download = arguments.out / "download"
    if not download.exists():
        written = write_patients(arguments.out)
        link_patients(written, arguments.patients, download)

    target = arguments.out / "imported"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "vestibule", "import", "tcia-vs-seg", str(download), str(target)]
    if arguments.workers:
        command += ["--workers", str(arguments.workers)]
    before = cpu_of_children()
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, process_group=0)
    memory = largest_memory(process)
    if process.returncode:
        raise SystemExit(f"the import ended with {process.returncode}")
    whole = time.perf_counter() - begin
    busy = cpu_of_children() - before
    patients = len(list(download.iterdir()))
    print(f"{patients} patients: {whole:.0f} s by the clock, {busy:.0f} s of CPU on {os.cpu_count()} cores")
    print(f"memory of all its processes at most {memory / 1e9:.2f} GB")


def cpu_of_children() -> float:
    """Seconds of CPU of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def largest_memory(process: subprocess.Popen) -> int:
    """Wait for a process; the largest sum of bytes that it and those of its group held at a time."""
    largest = 0
    while process.poll() is None:
        held = 0
        for folder in Path("/proc").glob("[0-9]*"):
            # What is shared between processes counts once.
            with contextlib.suppress(OSError):
                if os.getpgid(int(folder.name)) == process.pid:
                    pss = re.search(r"^Pss: *(\d+) kB", (folder / "smaps_rollup").read_text(), re.MULTILINE)
                    held += int(pss[1]) * 1024 if pss else 0
        largest = max(largest, held)
        time.sleep(0.2)
    return largest


def write_patients(out: Path) -> list[Path]:
    """Render phantoms and write each as DICOM, an RTSTRUCT beside each series. Returns the folders of patients."""
    edition = get_edition(YEAR)
    size = {"shape_zyx": SHAPE_ZYX, "spacing_zyx": SPACING_ZYX}
    config = PhantomConfig(RENDERED, RENDERED, edition=YEAR, prevalence=1.0, **size)
    rendered = out / "rendered"
    make_population(rendered, config)
    unseen = edition.validation_folder
    places = {
        "T1": (rendered / edition.source_folder, rendered / edition.source_folder, edition.source_suffix),
        "T2": (rendered / unseen, edition.references_of(rendered, unseen), edition.target_suffix),
    }
    patients = [out / "written" / f"patient{number}" for number in range(RENDERED)]
    for contrast, (images, labels, suffix) in places.items():
        for patient, image in zip(patients, sorted(images.glob(f"*_{suffix}.nii.gz")), strict=True):
            folder = patient / "study" / contrast
            write_series(folder, read_volume(image), DESCRIPTIONS[contrast], PatientID=patient.name)
            (series,) = find_series(folder).series
            case = image.name.removesuffix(f"_{suffix}.nii.gz")
            label = read_labels(labels / edition.label_name(case)).voxels
            structures = patient / "study" / f"contours of {contrast}" / "rs.dcm"
            write_rtstruct(structures, label, read_stack(series), edition)
    return patients


def link_patients(written: list[Path], count: int, download: Path) -> None:
    """Make a download of `count` patients, each a tree of links to the files of one that was written."""
    for number in range(1, count + 1):
        source = written[number % len(written)]
        for path in sorted(source.rglob("*.dcm")):
            place = download / f"VS-SEG-{number:03d}" / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)


if __name__ == "__main__":
    main()
