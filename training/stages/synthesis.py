"""Synthetic T2 of every labelled T1 case by the CycleGAN: phi0_AB, with the labels of the T1.

Where there is a second CycleGAN, by that one, too; where they are told a site, in the look of every site.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.config import RunConfig
from training.data.intermediates import Translators, derived_entry, prepared_entries
from training.data.looks import looks_of
from training.data.slices import read_cases
from training.stage_table import SYNTHESIS
from vestibule.files import write_json
from vestibule.progress import track


def synthesise(config: RunConfig, run_dir: Path) -> list[Path]:
    """Write synthetic T2 of every source case to `synthesis/`: float16 (Z, Y, X) in [-1, 1], and an index.

    Raises InputError where the run has no prepared cases or no CycleGAN.
    """
    folder = SYNTHESIS.folder(run_dir)
    translators = Translators(run_dir)
    prepared = prepared_entries(run_dir, "source")
    (folder / "source").mkdir(exist_ok=True)

    entries = []
    paths = []
    looks = looks_of(config, run_dir)
    for case in track(read_cases(run_dir, "source"), SYNTHESIS.name):
        source = np.asarray(case.image, dtype=np.float32)  # (Z, Y, X)
        for look in looks:
            synthetic = look.of(source, translators)
            name = f"{case.name}{look.suffix}"
            image = Path("source") / f"{name}.npy"
            np.save(folder / image, synthetic.astype(np.float16))
            paths.append(folder / image)
            entry = derived_entry(prepared[case.name], name, image)
            entries.append(entry)

    index = folder / "index.json"
    write_json(index, {"cases": entries})
    return [index, *paths]
