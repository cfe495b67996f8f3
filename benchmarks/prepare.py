"""What `prepare` takes of the challenge's largest images: seconds, memory and disk of 20, and of all of 2022 by scale.

    python benchmarks/prepare.py --out runs/prepare        5 minutes to render the phantoms once, then a minute

Four phantoms of 120 x 512 x 512 voxels are rendered, and each is there under five names. Reading alone is the time in
which as many threads read and unpack the same files once, by the libraries that are at hand and by our own reader.
"""

from __future__ import annotations

import argparse
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
from training.run_folder import read_record
from training.stage_table import PREPARE
from vestibule.editions import get_edition
from vestibule.files import read_json
from vestibule.volume import read_volume

YEAR = 2022
RENDERED, COPIES = 2, 5
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
    """Render, link, read, prepare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the phantoms and of the run")
    parser.add_argument("--config", type=Path, default=Path("configs/crossmoda2022.yaml"))
    arguments = parser.parse_args()
    print(machine())
    config = PhantomConfig(RENDERED, 1, shape_zyx=SHAPE_ZYX, spacing_zyx=SPACING_ZYX, edition=YEAR, workers=2)
    # Called as before, so that phantoms that are there already are found.
    rendered = arguments.out / "drawn"
    make_population(rendered, config)
    data = linked(rendered, arguments.out / "data")

    files = sorted(data.rglob("*.nii.gz"))
    told = []
    for reader in READERS:
        told.append(f"{reader} {reading(files, reader):.0f} s")
    print(f"{len(files)} files, reading alone: {', '.join(told)}")

    run_dir = arguments.out / f"run_{time.time():.0f}"
    program = Path(sys.executable).with_name("vestibule")
    options = ["--config", str(arguments.config), "--run", str(run_dir), "--data", str(data)]
    begin = time.perf_counter()
    subprocess.run([program, "train", PREPARE.name, *options], check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)

    folder = PREPARE.folder(run_dir)
    seconds = read_record(run_dir, PREPARE)["seconds"]
    cases = len(read_json(folder / "index.json")["cases"])
    size = sum(path.stat().st_size for path in folder.rglob("*.npy"))
    busy = (used.ru_utime + used.ru_stime) / whole
    print(f"{cases} cases: check and prepare {seconds:.0f} s; with the start of the command {whole:.0f} s")
    print(f"cores busy {busy:.2f} of {os.cpu_count()}")
    print(f"memory at most {used.ru_maxrss / 2**20:.2f} GiB; prepared {size / cases / 1e6:.1f} MB a case")
    scale = ALL_CASES / cases
    print(f"{ALL_CASES} cases by scale: {seconds * scale / 60:.0f} minutes, {size * scale / 1e9:.1f} GB")


def reading(files: list[Path], reader: str) -> float:
    """Seconds in which all files are read by one of `READERS`."""
    begin = time.perf_counter()
    file_by_file(READERS[reader], files, f"read by {reader}")
    return time.perf_counter() - begin


def linked(rendered: Path, data: Path) -> Path:
    """The rendered cases under `COPIES` names each, as links, in the layout of the edition."""
    edition = get_edition(YEAR)
    for name in (edition.source_folder, edition.target_folder):
        folder = data / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted((rendered / name).glob("*.nii.gz")):
            case, _, rest = path.name.rpartition("_")
            for copy in range(COPIES):
                place = folder / f"{case}{copy}_{rest}"
                if not place.exists():
                    os.link(path, place)
    return data


if __name__ == "__main__":
    main()
