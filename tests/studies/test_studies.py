"""What the studies compute and write; that they go through is shown by running them."""

from dataclasses import replace

import numpy as np
import pytest

from training.config import read_config
from training.data.slices import PreparedCase
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.preprocessing import PreprocessingConfig
from vestibule.volume import Geometry, Volume


def rows(*dice, volume_mm3=1000.0):
    """Rows of scores with the same Dice for both structures of each case."""
    found = []
    for number, value in enumerate(dice):
        for structure in ("vs", "cochlea"):
            scores = {"dice": value, "assd_mm": 1 - value, "reference_volume_mm3": volume_mm3}
            found.append({"case": f"case_{number}", "structure": structure, **scores})
    return found


def test_rows_are_averaged_over_seeds_case_by_case(study):
    averaged = study("experiment").averaged
    found = averaged([rows(0.2, 0.6), rows(0.4, 0.8)])
    assert [row["dice"] for row in found if row["structure"] == "vs"] == pytest.approx([0.3, 0.7])
    with pytest.raises(ValueError, match="same cases"):
        averaged([rows(0.2), rows(0.2, 0.3)])


def test_section_of_a_page_is_replaced_and_the_rest_of_it_stays(study, tmp_path):
    write_section = study("experiment").write_section
    page = tmp_path / "results.md"
    page.write_text("# Results\n\nBefore.\n")
    write_section(page, "table1 small", "first")
    page.write_text(page.read_text() + "\nAfter.\n")
    write_section(page, "table1 small", "second")
    assert (
        page.read_text() == "# Results\n\nBefore.\n\n<!-- table1 small -->\nsecond\n<!-- /table1 small -->\n\nAfter.\n"
    )


def test_a_section_goes_below_out_and_into_a_page_only_where_one_is_named(study, tmp_path, capsys):
    experiment = study("experiment")
    experiment.publish(["## Title", "", "text"], "table1 tiny", tmp_path / "out", None)
    assert (tmp_path / "out" / "results.md").read_text() == "## Title\n\ntext\n"
    assert capsys.readouterr().out == "## Title\n\ntext\n"
    experiment.publish(["new"], "table1 tiny", tmp_path / "out", tmp_path / "page.md")
    assert (tmp_path / "page.md").read_text() == "<!-- table1 tiny -->\nnew\n<!-- /table1 tiny -->\n"


def test_no_study_writes_into_a_page_by_default(study):
    required = ["--config", "c.yaml", "--out", "runs/x"]
    assert study("experiment").experiment_parser("").parse_args(required).page is None


def test_every_size_is_a_valid_configuration_and_small_is_as_large_as_asked(study, repository):
    experiment = study("experiment")
    base = read_config(repository / "configs" / "phantom.yaml")
    sizes = {size: experiment.sized(base, size) for size in experiment.SIZES}
    assert (sizes["small"].phantom.cases, sizes["small"].phantom.validation) == (40, 20)
    assert sizes["small"].cyclegan == base.cyclegan
    assert (sizes["full"].phantom.cases, sizes["full"].cyclegan.generator.blocks) == (105, 9)
    with pytest.raises(InputError, match="makes phantoms"):
        experiment.sized(replace(base, phantom=None), "small")


def test_table1_tells_arms_seeds_and_differences_as_they_are(study, repository):
    config = study("experiment").sized(read_config(repository / "configs" / "phantom.yaml"), "small")
    scores = {
        "baseline": [rows(0.1, 0.2, 0.3), rows(0.1, 0.2, 0.3)],
        "oneshot": [rows(0.2, 0.3, 0.4), rows(0.4, 0.5, 0.6)],
        "supervised": [rows(0.9, 0.9, 0.9), rows(0.9, 0.9, 0.9)],
    }
    text = "\n".join(study("table1").report(scores, config))
    assert "3 unseen T2; 2 seed(s)" in text
    assert "| oneshot | VS | 0.40 ± 0.14 (0.40) | 0 |" in text
    assert "| oneshot - baseline | VS | Dice | 3 | +0.200 (+0.200 to +0.200) | 3 / 0 |" in text
    assert "seed 1: baseline 0.200, oneshot 0.500, supervised 0.900" in text


def test_ablation_compares_each_variant_with_what_it_builds_on(study, repository):
    config = read_config(repository / "configs" / "phantom.yaml")
    scores = {
        "none": [rows(0.0, 0.1)],
        "reference": [rows(0.3, 0.4)],
        "reference, SinGAN": [rows(0.35, 0.45)],
    }
    contrasts = {"none": [1.0], "reference": [-2.0], "reference, SinGAN": [-1.5]}
    text = "\n".join(study("ablation").report(scores, contrasts, config))
    assert "| reference | -2.00 | 0.35 ± 0.07 (0.35) | 0 |" in text
    assert "+0.300 (+0.300 to +0.300) |" in text
    assert "+0.050 (+0.050 to +0.050) |" in text


def test_several_trainings_of_a_seed_are_one_number_of_it(study, repository):
    config = read_config(repository / "configs" / "phantom.yaml")
    # Seed 0 twice, then seed 1 twice.
    scores = {"none": [rows(0.2), rows(0.4), rows(0.6), rows(0.8)]}
    text = "\n".join(study("ablation").report(scores, {"none": [0.0] * 4}, config, trainings=2))
    assert "2 seed(s), 2 training(s) of each" in text
    assert "| 0.30 0.70 |" in text


def test_every_variant_builds_on_one_that_is_run(study):
    variants = study("ablation").VARIANTS
    assert all(variant.matches in (None, *variants) for variant in variants.values())


def test_room_around_a_point_is_the_way_to_each_side_of_the_region(study):
    geometry = Geometry((2, 100, 100), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    image = Volume(np.zeros((2, 100, 100), np.float32), geometry)
    region = PreprocessingConfig((2.0, 2.0), (16, 24))
    points = np.array([[50.0, 45.0, 0.0], [60.0, 50.0, 1.0]])
    # The region lies around (50, 50): y from 34 to 66, x from 26 to 74.
    found = study("region").room(image, (50.0, 50.0), region, points)
    assert found == pytest.approx([45 - 34, 66 - 50, 50 - 26, 74 - 60])
    outside = study("region").room(image, (50.0, 50.0), region, np.array([[80.0, 50.0, 0.0]]))
    assert outside[3] == pytest.approx(-6)


def test_pair_is_one_head_in_both_contrasts_with_its_labels(study, repository):
    config = study("experiment").sized(read_config(repository / "configs" / "phantom.yaml"), "tiny")
    phantom = replace(config.phantom, prevalence=1.0, sites=("ldn",), edition=2021)
    pair = study("translation").render_pair(0, phantom, config.prepare)
    error, rows, columns = study("translation").compared(pair.t2, pair.t1, pair.t1)
    assert pair.t1.shape == pair.t2.shape == pair.labels.shape
    # The same edges in other intensities.
    assert (rows, columns) == pytest.approx((0, 0), abs=0.25)
    assert error > 0.2
    assert set(np.unique(pair.labels)) == {0, 1, 2}


def test_part_of_the_reference_is_compared_with_the_mask_near_it(study):
    reference, mask = np.zeros((2, 8, 30, 60), dtype=bool)
    reference[2:5, 10:14, 10:14] = reference[2:5, 10:14, 40:44] = True
    mask[2:5, 9:13, 10:14] = mask[3:6, 10:12, 42:46] = True
    mask[:, 25:, 25:30] = True  # near neither
    first, second = study("shift").compared(reference, mask)
    assert first.way == pytest.approx([0, -1, 0])
    assert second.way == pytest.approx([1, -1, 2])
    assert (first.share, second.share) == (1.0, 0.5)


def test_spoilt_masks_are_measured_before_and_after_they_are_fitted(study, tmp_path):
    true = np.zeros((5, 30, 30), dtype=bool)
    true[1:4, 8:20, 8:20] = True
    np.save(tmp_path / "image.npy", np.where(true, -0.4, -0.7).astype(np.float16))
    np.save(tmp_path / "label.npy", true.astype(np.uint8))
    case = PreparedCase("a", "target", "", tmp_path / "image.npy", tmp_path / "label.npy", (1.5, 1.2, 1.2), (), ())
    fitted = study("fitted_tumours")
    found = {}
    for words, spoil in fitted.SPOILT.items():
        (found[words],) = fitted.measured([case], spoil, get_edition(2021))
    assert found["as it is"] == (1, 1, 1, 1)
    before, after, volume, fitted_volume = found["a voxel less all around"]
    assert before < after == 1
    assert (volume, fitted_volume) == (pytest.approx(100 / 144), 1)


def test_wrong_images_are_made_of_t2_alone(study):
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    geometry = Geometry((20, 6, 5), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), identity)
    image = Volume(np.arange(20.0 * 6 * 5).reshape(20, 6, 5), geometry)
    variants = study("wrong_images").variants
    assert [kind for kind, _ in variants(image, "T1", np.random.default_rng(0))] == ["T1"]
    found = dict(variants(image, "T2", np.random.default_rng(0)))
    assert found["T2"] is image
    assert np.array_equal(np.sort(found["shuffled"].voxels, axis=None), image.voxels.ravel())
    assert found["inverted"].voxels[0, 0, 0] == 599
    assert np.array_equal(found["lowest slices"].voxels, image.voxels[:8])
    assert np.array_equal(found["uppermost slices"].voxels, image.voxels[12:])
