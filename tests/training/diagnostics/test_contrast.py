import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file
from scipy import ndimage

from training.commands.train import train as train_command
from training.data.intermediates import Translators
from training.data.slices import read_cases
from training.diagnostics.contrast import ContrastRow, ShiftRow, VolumeRow, contrast, ring, shift_rows
from training.diagnostics.contrast_report import (
    markdown,
    summarise_contrast,
    summarise_shift,
    summarise_volumes,
    write_contrast_report,
)
from training.diagnostics.figure import choose_rows, plot_case
from training.diagnostics.source_case import source_intermediates
from training.stage_table import STAGES
from vestibule.errors import InputError
from vestibule.files import read_json, write_json
from vestibule.networks import build_generator
from vestibule.volume import Geometry, Volume, write_volume

TURNED = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def point(shape=(3, 41, 41)):
    mask = np.zeros(shape, dtype=bool)
    mask[1, 20, 20] = True
    return mask


def test_ring_of_one_voxel_is_what_lies_between_the_two_circles_in_its_own_slice():
    around = ring(point())
    # Lattice points within 8 of the centre: 197; within 3: 29 (Gauss's circle problem).
    assert around[1].sum() == 197 - 29
    assert not around[0].any()
    assert not around[2].any()


def test_contrast_of_a_point_on_a_ramp_by_hand():
    ramp = np.broadcast_to(0.1 * np.arange(41), (3, 41, 41)).copy()
    ramp[1, 20, 20] += 0.5
    squares = [dx * dx for dx in range(-8, 9) for dy in range(-8, 9) if 9 < dx * dx + dy * dy <= 64]
    spread = 0.1 * np.sqrt(np.mean(squares))
    found = contrast(ramp, point(), point())
    assert found.ring_mean == pytest.approx(2.0)
    assert found.inside_mean == pytest.approx(2.5)
    assert found.cnr == pytest.approx(0.5 / spread)


def test_rim_is_what_touches_other_tissue_in_the_slice_less_the_core():
    image, mask = np.random.default_rng(0).normal(0, 0.1, (3, 41, 41)), np.zeros((3, 41, 41), dtype=bool)
    mask[1, 18:23, 18:23] = True
    image[mask] = 0.7
    image[1, 19:22, 19:22] = 0.4
    assert contrast(image, mask, mask).rim == pytest.approx(0.3)
    assert contrast(image, point(), point()).rim is None


def test_voxels_of_other_structures_are_no_surroundings():
    image = np.random.default_rng(0).normal(0, 0.1, (3, 41, 41))
    other = np.zeros(image.shape, dtype=bool)
    other[1, 24:28, 20:24] = True
    image[other] = 50.0
    assert contrast(image, point(), point() | other).ring_mean == pytest.approx(0, abs=0.05)
    assert contrast(image, point(), point()).ring_mean > 1


@pytest.mark.parametrize("image", [np.zeros((3, 41, 41)), np.ones((3, 41, 41))])
def test_flat_surroundings_and_a_missing_structure_have_no_contrast(image):
    assert contrast(image, point(), point()) is None
    assert contrast(np.random.default_rng(0).random(image.shape), np.zeros_like(point()), point()) is None


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        contrast(np.zeros((3, 40, 41)), point(), point())


def test_summary_counts_means_and_splits_by_size():
    rows = [
        ContrastRow(case, "T1", "vs", size, 100.0, 0.5, 0.0, 0.1, cnr)
        for case, size, cnr in (("a", "small", 1.0), ("b", "small", 3.0), ("c", "large", 8.0))
    ]
    overall, small, large = summarise_contrast(rows)
    assert (overall["size"], overall["cases"], overall["cnr_mean"], overall["cnr_median"]) == ("all", 3, 4.0, 3.0)
    assert (small["size"], small["cnr_mean"], small["cnr_sd"]) == ("small", 2.0, pytest.approx(np.sqrt(2)))
    assert (large["size"], large["cases"], large["cnr_sd"]) == ("large", 1, 0.0)
    found = summarise_volumes([VolumeRow("a", "oneshot", "small", 100.0, 25.0, 40.0)])
    shift = summarise_shift([ShiftRow("a", "B'", 0.5, 0.0), ShiftRow("b", "B'", 1.5, 0.0)])
    table = markdown({"contrast": [overall], "tumour": found, "shift": shift})
    assert "| vs | T1 | all | 3 | +4.00 ± 3.61 | +3.00 | +0.50 |" in table
    assert "| oneshot | all | 1 | 100 | 25% | 40 | 1 |" in table
    assert "| B' | 2 | +1.00 ± 0.50 | +0.00 ± 0.00 |" in table


def test_shift_is_told_towards_the_back_and_the_left_of_the_scan():
    scan = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(3, 40, 40)), (0, 2, 2)).astype(np.float32)
    (row,) = shift_rows("a", {"T1": scan, "T2": -np.roll(scan, (2, -1), axis=(1, 2))})
    assert (row.intermediate, row.rows, row.columns) == ("T2", pytest.approx(2, abs=0.2), pytest.approx(-1, abs=0.2))


@pytest.fixture
def finished(config, run_dir, tiny_bundle, tmp_path):
    """A run with every stage: random generators, B' equal to T1, and one labelled and one unlabelled unseen T2."""
    torch.manual_seed(0)
    state = build_generator(config.cyclegan.generator).state_dict()
    for stage, names in (("cyclegan", ("source_to_target", "target_to_source")), ("pix2pix", ("generator",))):
        for name in names:
            save_file(state, run_dir / stage / f"{name}.safetensors")
        finish(run_dir, stage, config)
    finish(run_dir, "transfer", config)
    finish(run_dir, "prepare", config)
    entries = [entry for entry in read_json(run_dir / "prepare" / "index.json")["cases"] if entry["domain"] == "source"]
    moved = [{**entry, "image": f"../prepare/{entry['image']}"} for entry in entries]
    write_json(run_dir / "transfer" / "index.json", {"cases": moved})
    (run_dir / "export").mkdir()
    shutil.copytree(tiny_bundle, run_dir / "export" / "bundle")
    finish(run_dir, "export", replace(config, arms=("baseline", "oneshot")))
    data = tmp_path / "data"
    write_unseen(data)
    write_json(run_dir / "data.json", {"data": str(data)})
    return run_dir


def finish(run_dir, stage, config):
    values = asdict(replace(config, edition=2022))
    recorded = {section: values[section] for section in STAGES[stage].sections or values}
    write_json(run_dir / stage / "config.json", {"config": recorded})
    write_json(run_dir / stage / "stage.json", {"config": recorded, "outputs": {}})


def write_unseen(data):
    image = np.random.default_rng(0).uniform(0, 100, (8, 32, 32)).astype(np.float32)
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[3:5, 12:16, 12:16] = 1
    geometry = Geometry(image.shape, (3.0, 2.0, 2.0), (0.0, 0.0, 0.0), TURNED)
    for case in ("unseen_1", "unseen_2"):
        write_volume(data / "validation" / f"{case}_hrT2.nii.gz", Volume(image, geometry))
    write_volume(data / "references" / "validation" / "unseen_1_Label.nii.gz", Volume(labels, geometry))
    (data / "training_target").mkdir()


def test_intermediates_follow_a_case_from_t1_to_b_prime_and_back(finished):
    case = read_cases(finished, "source")[0]
    images = source_intermediates(case, finished, Translators(finished))
    assert list(images) == [
        *("T1", "T2, CycleGAN", "T2, copy as on T1", "T2, harmonised"),
        *("T1 back, CycleGAN", "T1 back, pix2pix"),
    ]
    tumour = np.asarray(case.labels) == 1
    np.testing.assert_array_equal(images["T2, copy as on T1"][tumour], images["T1"][tumour])
    np.testing.assert_array_equal(images["T2, copy as on T1"][~tumour], images["T2, CycleGAN"][~tumour])
    np.testing.assert_array_equal(images["T2, harmonised"], images["T1"])


def test_the_copy_that_entered_the_harmoniser_has_the_intensities_that_the_transfer_recorded(finished):
    index = finished / "transfer" / "index.json"
    matched = [{"mean": -0.2, "sd": 0.01}, {"mean": 0.4, "sd": 0.01}]
    write_json(index, read_json(index) | {"matched_intensity": matched})
    cases = read_cases(finished, "source")
    # The second case went through the second harmoniser, the third through the first again.
    for case, mean in zip(cases, (-0.2, 0.4, -0.2), strict=True):
        images = source_intermediates(case, finished, Translators(finished))
        copy = images["T2, copy matched"]
        core = ndimage.binary_erosion(np.asarray(case.labels) == 1, np.ones((1, 3, 3)), iterations=2)
        assert copy[core].mean() == pytest.approx(mean, abs=0.02)


def test_report_measures_every_intermediate_and_what_the_segmenter_predicts(finished):
    record_path, table_path = write_contrast_report(finished)
    record = json.loads(record_path.read_text())
    names = {row["intermediate"] for row in record["contrasts"]}
    assert {"T1", "T2, harmonised", "T1 back, pix2pix", "T2", "synthetic T1, oneshot"} <= names
    t1 = next(row for row in record["contrast"] if row["intermediate"] == "T1")
    assert (t1["structure"], t1["cases"], t1["size"]) == ("vs", 3, "all")
    assert t1["cnr_mean"] > 1  # a bright tumour in an even head
    assert {(row["case"], row["arm"]) for row in record["found"]} == {
        ("unseen_1", arm) for arm in ("baseline", "oneshot")
    }
    assert record["found"][0]["true_mm3"] == pytest.approx(2 * 4 * 4 * 12.0, rel=0.3)
    assert all(0 <= row["found_mm3"] <= min(row["true_mm3"], row["predicted_mm3"]) for row in record["found"])
    assert (record["unseen_without_reference"], record["without_tumour"]) == (1, 0)
    assert "synthetic T1, baseline" in table_path.read_text()
    shift = {item["intermediate"]: item for item in record["shift"]}
    # In this run, B' is the T1 itself.
    assert shift["T2, harmonised"]["rows_mean"] == pytest.approx(0, abs=1e-3)
    assert shift["synthetic T1, oneshot"]["cases"] == 1


@pytest.mark.parametrize("case", ["case_1", "unseen_1", "unseen_2"])
def test_figure_is_plotted_for_any_case(finished, tmp_path, case):
    result = CliRunner().invoke(train_command, ["figure", str(finished), str(tmp_path / "f.png"), "--case", case])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "f.png").stat().st_size > 5000


def test_unknown_case_is_named_with_known_ones(finished, tmp_path):
    with pytest.raises(InputError, match=r"no case 'nobody'; T1 cases are case_0, case_1 \.\.\., T2 cases unseen_1"):
        plot_case(finished, "nobody", tmp_path / "f.png")


def test_run_without_a_bundle_is_refused(run_dir):
    with pytest.raises(InputError, match="stage 'export' is not done"):
        write_contrast_report(run_dir)


def test_rows_of_a_figure_are_the_largest_sections():
    tumour = np.zeros((5, 8, 8), dtype=bool)
    tumour[1, :2, :2], tumour[3, :4, :4] = True, True
    assert choose_rows(tumour, 2) == [3, 1]
    assert choose_rows(tumour, 9) == [3, 1]
    assert choose_rows(np.zeros_like(tumour), 2) == [2]
