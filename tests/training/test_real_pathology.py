"""Real tumours through the real stages: gliomas on T1 with contrast agent and on T2, where the data is there."""

import json
from dataclasses import replace

import numpy as np
import pytest

from training.data.slices import read_cases
from training.runner import run_stage
from training.stage_table import CYCLEGAN, HARMONISER, PREPARE, TRANSFER
from vestibule.editions import get_edition
from vestibule.files import write_json
from vestibule.preprocessing import PreprocessingConfig
from vestibule.volume import Geometry, Volume, read_labels, read_scan, write_volume

EDITION = get_edition(2021)
KEEP = 6
"""Every so many slices are kept: enough for a test of the way."""
ENHANCING = {"BraTS-GLI-00001-000": ("autoseg", 3), "TCGA-DU-7294": ("autoseg_mav", 2)}
"""Whose automatic label, and which value of it, is taken as the tumour (where nothing enhances, the oedema)."""


def thinned(volume: Volume) -> Volume:
    voxels, old = volume.voxels[::KEEP], volume.geometry
    spacing = (old.spacing_zyx[0] * KEEP, *old.spacing_zyx[1:])
    return Volume(np.ascontiguousarray(voxels), Geometry(voxels.shape, spacing, old.origin_xyz, old.direction))


@pytest.fixture
def glioma_run(shared_data, tmp_path):
    """A run's folder whose data is the two patients: T1 and label of the one, T2 and label of the other."""
    source, target = ENHANCING
    data, folder = tmp_path / "data", shared_data / "glioma"
    for case, domain, suffix, image_name in (
        (source, EDITION.source_folder, "t1c", EDITION.source_name(source)),
        (target, EDITION.target_folder, "t2", EDITION.target_name(target)),
    ):
        write_volume(data / domain / image_name, thinned(read_scan(folder / f"{case}_{suffix}.nii.gz")))
        name, value = ENHANCING[case]
        label = thinned(read_labels(folder / f"{case}_{name}.nii.gz"))
        place = data / domain if domain == EDITION.source_folder else data / "references" / domain
        write_volume(place / EDITION.label_name(case), label.with_voxels((label.voxels == value).astype(np.uint8)))
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "data.json", {"data": str(data)})
    return tmp_path / "run"


def test_real_tumour_is_translated_copied_and_harmonised(glioma_run, config):
    config = replace(config, edition=2021, prepare=PreprocessingConfig((4.0, 4.0), (32, 32)))
    for stage in (PREPARE, CYCLEGAN, HARMONISER, TRANSFER):
        assert run_stage(stage, config, glioma_run)
    rules = json.loads((glioma_run / "prepare" / "index.json").read_text())["rules"]
    assert (rules["external_data"], rules["extra_annotation"]) == (True, True)
    (before,), (after,) = read_cases(glioma_run, "source"), read_cases(glioma_run, "source", TRANSFER)
    tumour = np.asarray(before.labels) == 1
    assert tumour.sum() > 20
    harmonised = np.asarray(after.image, dtype=float)
    assert np.isfinite(harmonised).all()
    assert harmonised[tumour].std() > 0
    assert list((glioma_run / "transfer" / "figures").glob("*.png"))
