"""Every real image beside the project through the region finder, prepare, prediction and the report."""

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

from training.config import read_config
from training.data.slices import read_cases
from training.runner import run_stage
from training.stage_table import PREPARE
from vestibule.cli import cli
from vestibule.editions import get_edition
from vestibule.files import write_json
from vestibule.inputs import find_cases
from vestibule.preprocessing import PreprocessingConfig, working_geometry
from vestibule.volume import read_scan, reorient, write_volume

EDITION = get_edition(2022)
CONFIG = Path(__file__).parents[1] / "configs" / "phantom.yaml"


def images(folder, *endings):
    return [
        path for path in sorted(folder.glob("*.nii.gz")) if path.name.endswith(tuple(f"{e}.nii.gz" for e in endings))
    ]


def case_of(path):
    return path.name.removesuffix(".nii.gz").rpartition("_")[0]


def block_in_the_middle(scan):
    """A label of 9 x 9 voxels in three slices, as a tumour that anything can find."""
    label = np.zeros(scan.geometry.size_zyx, dtype=np.uint8)
    label[tuple(slice(n // 2 - half, n // 2 + half + 1) for n, half in zip(label.shape, (1, 4, 4), strict=True))] = 1
    return scan.with_voxels(label)


def test_region_is_found_in_every_real_head_and_is_alike_on_t1_and_t2(shared_data, caplog):
    middles = {}
    for path in images(shared_data / "heads", "T1W", "T2W"):
        volume = reorient(read_scan(path))
        grid = working_geometry(volume, PreprocessingConfig((1.2, 1.2), (96, 96)))
        middle = grid.to_patient((np.array(grid.size_zyx[::-1]) - 1) / 2)
        corner = volume.geometry.to_patient(np.array(volume.geometry.size_zyx[::-1]) - 0.5)
        # From the back and the left edge of the image, where all of these were cut alike around the head.
        middles[path.name.removesuffix("W.nii.gz")] = (corner - middle)[[1, 0]]
    assert len(middles) == 11
    assert not caplog.text
    for session in ("p01s1", "p01s2", "p03s2", "p04s1"):
        assert np.abs(middles[f"{session}_T1"] - middles[f"{session}_T2"]).max() < 5


@pytest.mark.slow
def test_every_real_volume_is_prepared_as_training_data(shared_data, tmp_path):
    data, run_dir = tmp_path / "data", tmp_path / "run"
    names = {"source": [], "target": []}
    for folder in ("heads", "glioma"):
        for path in images(shared_data / folder, "T1W", "t1c"):
            source = data / EDITION.source_folder
            source.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / EDITION.source_name(case_of(path)))
            write_volume(source / EDITION.label_name(case_of(path)), block_in_the_middle(read_scan(path)))
            names["source"].append(case_of(path))
        for path in images(shared_data / folder, "T2W", "t2"):
            (data / EDITION.target_folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, data / EDITION.target_folder / EDITION.target_name(case_of(path)))
            names["target"].append(case_of(path))
    run_dir.mkdir()
    write_json(run_dir / "data.json", {"data": str(data)})
    config = replace(read_config(CONFIG), phantom=None, edition=2022)
    assert run_stage(PREPARE, config, run_dir)
    assert (len(names["source"]), len(names["target"])) == (8, 7)
    for domain, expected in names.items():
        cases = read_cases(run_dir, domain)
        assert sorted(case.name for case in cases) == sorted(expected)
        for case in cases:
            assert case.image.shape[1:] == config.prepare.size_yx
            assert np.isfinite(case.image).all()
            assert np.ptp(case.image) > 1


@pytest.mark.slow
def test_every_real_t2_gets_a_mask_on_its_own_grid_and_a_report(shared_data, tiny_bundle, tmp_path):
    folder, masks, references = (tmp_path / name for name in ("images", "masks", "references"))
    for each in (folder, masks, references):
        each.mkdir()
    for path in (*images(shared_data / "heads", "T2W"), *images(shared_data / "glioma", "t2")):
        shutil.copy(path, folder / path.name)
        write_volume(references / EDITION.label_name(case_of(path)), block_in_the_middle(read_scan(path)))
    run = CliRunner().invoke(cli, ["predict", str(folder), str(masks), "--weights", str(tiny_bundle)])
    assert run.exit_code == 0, run.output
    cases = find_cases(folder, tmp_path / "none", EDITION).cases
    assert len(cases) == len(list(masks.iterdir())) == 7
    for path in folder.iterdir():
        (mask,) = (nibabel.load(mask) for mask in masks.glob(f"{case_of(path)}_*"))
        image = nibabel.load(path)
        assert mask.shape == image.shape[:3]
        np.testing.assert_allclose(mask.affine, image.affine, rtol=0, atol=1e-4)
    arguments = ["evaluate", str(masks), str(references), str(tmp_path / "scores"), "--images", str(folder), "--sheets"]
    report = CliRunner().invoke(cli, [*arguments, "--edition", "2022"])
    assert report.exit_code == 0, report.output
    page = (tmp_path / "scores" / "report.html").read_text(encoding="utf-8")
    assert all(case_of(path) in page for path in folder.iterdir())
