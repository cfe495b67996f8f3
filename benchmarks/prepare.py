"""What `prepare` takes of the challenge's largest images: seconds, memory and disk of 20, and of all of 2022 by scale.

    python benchmarks/prepare.py --out runs/prepare        5 minutes to draw the phantoms once, then a minute

Four phantoms of 120 x 512 x 512 voxels are drawn, and each is there under five names. Reading alone is the time in
which as many threads read and unpack the same files once, by the libraries that are at hand and by our own reader.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from timing import machine

from training.parallel import file_by_file
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from training.stage_table import PREPARE
from vestibule.editions import get_edition
from vestibule.volume import read_volume

DRAWN, COPIES = 2, 5
"""Phantoms a domain, and names of each."""
ALL_CASES = 227 + 295
"""Labelled T1 and T2 training cases of 2022."""
SHAPE_ZYX, SPACING_ZYX = (120, 512, 512), (1.5, 0.4, 0.4)
READERS = {
    "SimpleITK": lambda path: sitk.GetArrayViewFromImage(sitk.ReadImage(str(path), sitk.sitkFloat32)).size,
    "nibabel": lambda path: nibabel.load(path).get_fdata(dtype=np.float32).size,
    "ours": lambda path: read_volume(path).voxels.size,
}


def main() -> None:
    """Draw, link, read, prepare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the phantoms and of the run")
    parser.add_argument("--config", type=Path, default=Path("configs/crossmoda2022.yaml"))
    arguments = parser.parse_args()
    print(machine())
    config = PhantomConfig(DRAWN, 1, shape_zyx=SHAPE_ZYX, spacing_zyx=SPACING_ZYX, edition=2022, workers=2)
    make_population(arguments.out / "drawn", config)
    data = linked(arguments.out / "drawn", arguments.out / "data")
    files = sorted(data.rglob("*.nii.gz"))
    print(f"{len(files)} files, reading alone:", ", ".join(f"{name} {reading(files, name):.0f} s" for name in READERS))
    run_dir = arguments.out / f"run_{time.time():.0f}"
    begin = time.perf_counter()
    command = ["train", PREPARE.name, "--config", str(arguments.config), "--run", str(run_dir), "--data", str(data)]
    subprocess.run([Path(sys.executable).with_name("vestibule"), *command], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    seconds = json.loads((PREPARE.folder(run_dir) / "stage.json").read_text(encoding="utf-8"))["seconds"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cases = len(json.loads((PREPARE.folder(run_dir) / "index.json").read_text(encoding="utf-8"))["cases"])
    size = sum(path.stat().st_size for path in (PREPARE.folder(run_dir)).rglob("*.npy"))
    print(f"{cases} cases: check and prepare {seconds:.0f} s; with the start of the command {whole:.0f} s")
    print(f"cores busy {(used.ru_utime + used.ru_stime) / whole:.2f} of {os.cpu_count()}")
    print(f"memory at most {used.ru_maxrss / 2**20:.2f} GiB; prepared {size / cases / 1e6:.1f} MB a case")
    scale = ALL_CASES / cases
    print(f"{ALL_CASES} cases by scale: {seconds * scale / 60:.0f} minutes, {size * scale / 1e9:.1f} GB")


def reading(files: list[Path], reader: str) -> float:
    """Seconds in which all files are read by one of `READERS`."""
    begin = time.perf_counter()
    file_by_file(READERS[reader], files, f"read by {reader}")
    return time.perf_counter() - begin


def linked(drawn: Path, data: Path) -> Path:
    """The drawn cases under `COPIES` names each, as links, in the layout of 2022."""
    edition = get_edition(2022)
    for name in (edition.source_folder, edition.target_folder):
        (data / name).mkdir(parents=True, exist_ok=True)
        for path in sorted((drawn / name).glob("*.nii.gz")):
            case, _, rest = path.name.rpartition("_")
            for copy in range(COPIES):
                place = data / name / f"{case}{copy}_{rest}"
                if not place.exists():
                    os.link(path, place)
    return data


if __name__ == "__main__":
    main()
