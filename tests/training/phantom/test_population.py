"""The population on disk: folders and names, seeds, what is kept and what refused."""

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from training.phantom.cases import case_paths, plan_cases
from training.phantom.config import PhantomConfig
from training.phantom.population import COLUMNS, make_case, make_population
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import read_labels, read_volume


@pytest.fixture
def no_preview(monkeypatch):
    """Leave the picture out where nothing is asked of it."""
    monkeypatch.setattr("training.phantom.preview.write_preview", lambda *_: None)


def files_in(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.nii.gz"))
    }


def rows_of(folder):
    with (folder / "population.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_2021_population_lies_in_the_challenges_folders(tiny_population):
    names = set(files_in(tiny_population))
    assert {name for name in names if "source" in name} == {
        f"source_training/crossmoda2021_ldn_{n}_{what}.nii.gz" for n in (1, 2) for what in ("ceT1", "Label")
    }
    assert {name for name in names if name.startswith("target")} == {
        *(f"target_training/crossmoda2021_ldn_{n}_hrT2.nii.gz" for n in (3, 4)),
        *(f"target_validation/crossmoda2021_ldn_{n}_hrT2.nii.gz" for n in (5, 6, 7)),
    }
    assert {name for name in names if name.startswith("references")} == {
        *(f"references/target_training/crossmoda2021_ldn_{n}_Label.nii.gz" for n in (3, 4)),
        *(f"references/target_validation/crossmoda2021_ldn_{n}_Label.nii.gz" for n in (5, 6, 7)),
    }


@pytest.mark.parametrize(
    ("year", "sites", "image"),
    [
        (2021, {"ldn"}, "target_validation/crossmoda2021_ldn_9_hrT2.nii.gz"),
        (2022, {"ldn", "etz"}, "validation/crossmoda2022_ldn_9_hrT2.nii.gz"),
        (2023, {"ldn", "etz", "ukm"}, "validation/crossmoda2023_ldn_9_T2.nii.gz"),
    ],
)
def test_sites_and_names_follow_the_edition(tmp_path, year, sites, image):
    cases = plan_cases(PhantomConfig(cases=4, edition=year))
    assert {case.site for case in cases} == sites
    image_path, label_path = case_paths(cases[8], get_edition(year), tmp_path)
    assert image_path == tmp_path / image
    assert label_path.parent == tmp_path / "references" / image_path.parent.name


def test_images_and_labels_share_a_grid_and_hold_the_editions_values(tiny_population, tiny_config):
    edition = get_edition(2021)
    for case in plan_cases(tiny_config):
        image_path, label_path = case_paths(case, edition, tiny_population)
        image, label = read_volume(image_path), read_labels(label_path)
        assert image.geometry.describes(label.geometry)
        assert image.geometry.size_zyx == tiny_config.shape_zyx
        assert set(np.unique(label.voxels)) <= set(edition.labels)
        assert (label.voxels == 2).any()
        assert image.voxels.min() >= 0
        assert image.voxels.std() > 10


def test_table_tells_the_truth_about_every_case(tiny_population, tiny_config):
    rows = rows_of(tiny_population)
    assert tuple(rows[0]) == COLUMNS
    assert [row["domain"] for row in rows] == ["source"] * 2 + ["target"] * 2 + ["validation"] * 3
    for case, row in zip(plan_cases(tiny_config), rows, strict=True):
        _, label_path = case_paths(case, get_edition(2021), tiny_population)
        label = read_labels(label_path)
        voxel = float(np.prod(label.geometry.spacing_zyx))
        measured, truth = (label.voxels == 1).sum() * voxel, float(row["tumour_volume_mm3"])
        assert (truth == 0) == (row["tumour_side"] == "none") == (row["tumour_class"] == "none")
        assert abs(measured - truth) <= 0.15 * truth + 3 * voxel
        if measured:
            middle = label.geometry.to_patient(np.argwhere(label.voxels == 1)[:, ::-1]).mean(axis=0)
            assert (middle[0] > 0) == (row["tumour_side"] == "left")


def test_same_seed_gives_the_same_bytes(tmp_path, tiny_population, tiny_config):
    edition = get_edition(2021)
    for case in plan_cases(tiny_config)[1:4]:
        make_case(case, tiny_config, tmp_path)
        for path, kept in zip(
            case_paths(case, edition, tmp_path), case_paths(case, edition, tiny_population), strict=True
        ):
            assert path.read_bytes() == kept.read_bytes()


def test_other_seed_gives_other_patients(tiny_config):
    seeds = {case.seed for case in plan_cases(tiny_config)}
    assert seeds.isdisjoint({case.seed for case in plan_cases(replace(tiny_config, seed=8))})


def test_no_patient_is_in_two_domains(tiny_config, tiny_population):
    seeds = [case.seed for case in plan_cases(replace(tiny_config, cases=200, validation=100))]
    assert len(set(seeds)) == len(seeds) == 500
    contents = list(files_in(tiny_population).values())
    assert len(set(contents)) == len(contents)


def test_more_cases_leave_the_first_as_they_were(tiny_config):
    few, many = plan_cases(tiny_config), plan_cases(replace(tiny_config, cases=5))
    assert [case.seed for case in few[:2]] == [case.seed for case in many[:2]]
    assert [case.seed for case in few[2:4]] == [case.seed for case in many[5:7]]


def test_prevalence_is_kept(tmp_path, no_preview):
    config = PhantomConfig(cases=2, validation=1, prevalence=0.0, shape_zyx=(8, 24, 24), spacing_zyx=(4.0, 4.0, 4.0))
    make_population(tmp_path / "healthy", config)
    rows = rows_of(tmp_path / "healthy")
    assert {row["tumour_side"] for row in rows} == {"none"}
    assert all(read_labels(p).voxels.max() in (0, 2) for p in (tmp_path / "healthy").rglob("*_Label.nii.gz"))


def test_interrupted_population_is_completed_and_what_was_there_is_kept(tmp_path, no_preview):
    config = PhantomConfig(cases=1, validation=1, shape_zyx=(8, 24, 24), spacing_zyx=(4.0, 4.0, 4.0))
    folder = tmp_path / "out"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_population(folder, config, stop)
    first = next((folder / "source_training").glob("*ceT1*"))
    written = first.stat().st_mtime_ns
    assert not (folder / "population.csv").exists()
    make_population(folder, config)
    assert first.stat().st_mtime_ns == written
    assert len(files_in(folder)) == 6
    assert len(rows_of(folder)) == 3


def test_progress_counts_the_cases(tmp_path, no_preview):
    config = PhantomConfig(cases=1, validation=1, shape_zyx=(8, 16, 16), spacing_zyx=(6.0, 6.0, 6.0))
    seen = []
    make_population(tmp_path / "out", config, lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_other_configuration_is_refused(tiny_population, tiny_config):
    with pytest.raises(InputError, match="another configuration"):
        make_population(tiny_population, replace(tiny_config, seed=8))


def test_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        make_population(tmp_path, PhantomConfig())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_plan_records_how_it_was_made(tiny_population):
    plan = json.loads((tiny_population / "population.json").read_text())
    assert plan["seed"] == 7
    assert plan["anatomy_version"] >= 1


def test_preview_shows_bright_and_coloured_pixels(tiny_population):
    from matplotlib.image import imread

    picture = imread(tiny_population / "preview.png")[..., :3]
    assert picture.shape[1] > 800
    assert (picture.max(axis=2) - picture.min(axis=2) > 0.4).sum() > 200
    assert (picture.min(axis=2) > 0.5).sum() > 2000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cases": 0}, "at least 1"),
        ({"seed": -1}, "negative"),
        ({"edition": 2020}, "edition"),
        ({"shape_zyx": (4, 64, 64)}, "shape_zyx"),
        ({"spacing_zyx": (0.0, 1.0, 1.0)}, "spacing_zyx"),
        ({"spacing_zyx": (20.0, 1.0, 1.0)}, "at most 10"),
        ({"sites": ("etz",)}, "sites of edition 2021 are ldn"),
        ({"prevalence": 1.5}, "between 0 and 1"),
        ({"volume_mm3": (500.0, 100.0)}, "rising"),
    ],
)
def test_impossible_configuration_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PhantomConfig(**options)


@pytest.mark.slow
def test_workers_make_the_same_population(tmp_path, tiny_config, tiny_population):
    make_population(tmp_path / "out", replace(tiny_config, workers=2))
    assert files_in(tmp_path / "out") == files_in(tiny_population)
