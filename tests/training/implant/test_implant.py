"""Tumours in synthetic heads without one: there the canals' true places are known."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from training.commands.implant import implant as command
from training.implant.canals import Canal, find_canals, mirrored
from training.implant.files import add_record
from training.implant.lesion import implant
from training.implant.midsagittal import midsagittal_plane
from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.signals import SEQUENCES
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_labels, read_volume, reorient, write_volume

GEOMETRY = Geometry((10, 96, 88), (3.0, 1.6, 1.6), (-70.0, -76.0, -14.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))

EYE_MM = {
    "p01s1": ((-29.0, 17.5, -47.3), (28.3, 13.3, -47.0)),
    "p03s2": ((-36.8, 7.5, -65.8), (19.3, 2.8, -68.0)),
    "p04s1": ((-22.3, -8.0, -25.8), (36.8, -2.3, -22.5)),
}
"""Middles of the right and left canals of real T2 heads as read from enlarged slices, to a millimetre or two."""


@pytest.fixture(scope="module")
def head():
    """A T2 image of a patient without a tumour, and the true canals by side."""
    patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(3))
    image, _ = render(patient, SEQUENCES["tse"], GEOMETRY, np.random.default_rng(4))
    canals = {}
    for side, ear in zip(("left", "right"), patient.ears, strict=True):
        ends = (patient.turn @ (end * [ear.sign, 1, 1]) + patient.shift_mm for end in (ear.porus, ear.fundus))
        canals[side] = Canal(*ends, ear.canal_radius)
    return image, canals


def middle_of(canal):
    return 0.5 * (canal.porus + canal.fundus)


def test_both_canals_are_found_without_doubt(head):
    image, canals = head
    found = find_canals(image)
    for side, sign in (("left", 1), ("right", -1)):
        assert middle_of(found[side]) == pytest.approx(middle_of(canals[side]), abs=4)
        assert np.sign(found[side].fundus[0] - found[side].porus[0]) == sign
        assert found[side].doubt is None


def test_canals_are_found_alike_however_the_file_stores_the_axes(head):
    found, stored = find_canals(head[0]), find_canals(reorient(head[0], "RAS"))
    for side in ("left", "right"):
        assert stored[side].porus == pytest.approx(found[side].porus, abs=1e-3)


def test_canals_of_slices_without_ears_are_in_doubt(head):
    image = head[0]
    origin = (*image.geometry.origin_xyz[:2], image.geometry.origin_xyz[2] + 45.0)
    higher = replace(image.geometry, origin_xyz=origin)
    patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(3))
    above, _ = render(patient, SEQUENCES["tse"], higher, np.random.default_rng(4))
    assert all(canal.doubt for canal in find_canals(above).values())


def test_canals_at_the_end_of_the_image_are_in_doubt(head):
    image = head[0]
    below = Volume(image.voxels[:6], replace(image.geometry, size_zyx=(6, *image.geometry.size_zyx[1:])))
    assert all("image ends" in canal.doubt for canal in find_canals(below).values())


def test_t1_passed_off_as_t2_is_in_doubt():
    patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(3))
    t1, _ = render(patient, SEQUENCES["spgr"], GEOMETRY, np.random.default_rng(4))
    assert all(canal.doubt for canal in find_canals(t1).values())


def test_real_t1_passed_off_as_t2_is_in_doubt(shared_data):
    canals = find_canals(read_volume(shared_data / "heads" / "p01s1_T1W.nii.gz"))
    assert all("is it a T2 image" in canal.doubt for canal in canals.values())


def test_flat_noise_has_canals_only_in_doubt():
    noise = np.random.default_rng(0).normal(100, 5, GEOMETRY.size_zyx).astype(np.float32)
    assert all(canal.doubt for canal in find_canals(Volume(noise, GEOMETRY)).values())


def test_midsagittal_plane_is_the_synthetic_head_s(head):
    patient = make_patient(PhantomConfig(prevalence=0.0), np.random.default_rng(3))
    point, normal = midsagittal_plane(head[0])
    assert normal @ patient.turn[:, 0] > np.cos(np.deg2rad(3))
    assert abs((point - patient.shift_mm) @ patient.turn[:, 0]) < 2


def test_canal_of_the_other_ear_is_mirrored_with_its_length_and_a_doubt(head):
    image, canals = head
    other = mirrored(canals["right"], image)
    assert middle_of(other) == pytest.approx(middle_of(canals["left"]), abs=4)
    assert other.length_mm == pytest.approx(canals["right"].length_mm)
    assert other.doubt


def test_every_real_canal_is_found_without_doubt_where_eyes_put_it(shared_data):
    for name, by_eye in EYE_MM.items():
        found = find_canals(read_volume(shared_data / "heads" / f"{name}_T2W.nii.gz"))
        for side, middle in zip(("right", "left"), by_eye, strict=True):
            assert np.linalg.norm(middle_of(found[side]) - middle) < 5, (name, side)
            assert found[side].doubt is None, (name, side)


def test_tumour_has_its_volume_and_touches_nothing_else(head):
    image, canals = head
    painted, label, tumour = implant(image, canals["left"], 1500.0, "T2", np.random.default_rng(0))
    labelled = float((label.voxels > 0).sum() * np.prod(GEOMETRY.spacing_zyx))
    assert labelled == pytest.approx(tumour.volume_mm3, rel=0.15)
    assert set(np.unique(label.voxels)) == {0, 1, 2}
    changed = painted.voxels != image.voxels
    near = np.linalg.norm(
        np.argwhere(changed)[:, ::-1] * GEOMETRY.spacing_zyx[::-1] + GEOMETRY.origin_xyz - canals["left"].porus, axis=1
    )
    assert near.max() < 30
    assert 0.0 < changed.mean() < 0.1


def test_tumour_is_darker_than_the_fluid_it_displaces_on_t2_and_brighter_than_brain_on_t1(head):
    image, canals = head
    painted, label, _ = implant(image, canals["right"], 1500.0, "T2", np.random.default_rng(1))
    inside = label.voxels > 0
    fluid = np.percentile(image.voxels[inside], 90)
    assert painted.voxels[inside].mean() < 0.7 * fluid
    on_t1, label, _ = implant(image, canals["right"], 1500.0, "T1", np.random.default_rng(1))
    cerebellum = np.median(image.voxels[3:7, 70:80, 30:58])
    assert on_t1.voxels[label.voxels > 0].mean() > 1.1 * cerebellum


def test_canal_off_the_image_is_refused(head):
    far = Canal(np.array([300.0, 0, 0]), np.array([311.0, 0, 0]))
    with pytest.raises(InputError, match="outside of the image"):
        implant(head[0], far, 500.0, "T2", np.random.default_rng(0))


def test_command_writes_image_label_and_record_alike_for_a_seed(head, tmp_path):
    source = tmp_path / "p01s1_T2W.nii.gz"
    write_volume(source, head[0])
    arguments = [
        str(source),
        "--volume",
        "800",
        "--seed",
        "5",
        "--edition",
        "2023",
        "--porus",
        "-22,3,0",
        "--fundus",
        "-33,2,0",
    ]
    for out in ("a", "b"):
        result = CliRunner().invoke(command, [arguments[0], str(tmp_path / out), *arguments[1:]])
        assert result.exit_code == 0, result.output
    image, label = tmp_path / "a" / "p01s1_T2W.nii.gz", tmp_path / "a" / "p01s1_Label.nii.gz"
    assert image.read_bytes() == (tmp_path / "b" / image.name).read_bytes()
    assert read_volume(image).geometry.describes(head[0].geometry)
    assert set(np.unique(read_labels(label).voxels)) == {0, 1, 2}
    record = json.loads((tmp_path / "a" / "implants.json").read_text())["p01s1_T2W.nii.gz"]
    assert (record["side"], record["seed"]) == ("right", 5)
    assert record["porus"][0] < 0


def test_command_warns_of_a_doubt_and_records_it(head, tmp_path, caplog):
    source = tmp_path / "p01s1_T1W.nii.gz"
    write_volume(source, head[0])
    ends = ["--porus", "-22,3,0", "--fundus", "-33,2,0", "--mirror", "--volume", "300"]
    result = CliRunner().invoke(command, [str(source), str(tmp_path / "out"), *ends])
    assert result.exit_code == 0, result.output
    assert f"{source}: the canal may be wrong: " in caplog.text
    assert "--porus" in caplog.text
    record = json.loads((tmp_path / "out" / "implants.json").read_text())[source.name]
    assert record["side"] == "left"
    assert "mirror" in record["doubt"]


def test_command_says_nothing_of_a_canal_that_was_found_without_doubt(head, tmp_path, caplog):
    source = tmp_path / "p01s1_T2W.nii.gz"
    write_volume(source, head[0])
    result = CliRunner().invoke(command, [str(source), str(tmp_path / "out"), "--volume", "300"])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("p01_T1W.nii.gz", [], "name a T2 of the same head by --t2"),
        ("p01.nii.gz", [], "say --contrast"),
        ("p01_T2W.nii.gz", ["--porus", "1,2,3"], "go together"),
        ("p01_T1W.nii.gz", ["--mirror"], "needs the other ear's"),
    ],
)
def test_what_cannot_be_known_is_asked_for(head, tmp_path, name, options, words):
    write_volume(tmp_path / name, head[0])
    result = CliRunner().invoke(command, [str(tmp_path / name), str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert words in result.output


def test_help_tells_the_order_in_which_points_are_read():
    # Unlike --shape and --spacing of `vestibule phantom`, which are Z,Y,X.
    text = CliRunner().invoke(command, ["--help"]).output
    assert "--porus x,y,z" in text
    assert "--fundus x,y,z" in text
    assert "Z,Y,X" not in text


def test_point_that_is_not_three_numbers_is_refused_in_its_own_order(head, tmp_path):
    write_volume(tmp_path / "p01_T2W.nii.gz", head[0])
    result = CliRunner().invoke(command, [str(tmp_path / "p01_T2W.nii.gz"), str(tmp_path), "--porus", "1,2"])
    assert result.exit_code == 2
    assert "expected three numbers x,y,z like 21.5,4,-12" in result.output


def test_first_number_of_a_point_is_the_patients_left(head, tmp_path):
    source = tmp_path / "p01_T2W.nii.gz"
    write_volume(source, head[0])
    for x, side in ((22, "left"), (-22, "right")):
        out = tmp_path / side
        ends = ["--porus", f"{x},3,0", "--fundus", f"{1.5 * x},2,0", "--volume", "100"]
        assert CliRunner().invoke(command, [str(source), str(out), *ends]).exit_code == 0
        assert json.loads((out / "implants.json").read_text())[source.name]["side"] == side


def test_record_that_is_not_one_is_named_and_kept(head, tmp_path):
    source = tmp_path / "p01_T2W.nii.gz"
    write_volume(source, head[0])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "implants.json").write_text("mine")
    ends = ["--porus", "22,3,0", "--fundus", "33,2,0", "--volume", "100"]
    with pytest.raises(InputError, match=r"implants\.json: is not a record of implants"):
        CliRunner().invoke(command, [str(source), str(tmp_path / "out"), *ends], catch_exceptions=False)
    # So that the second try, the record moved away, is not refused for an image that is there.
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["implants.json"]
    assert (tmp_path / "out" / "implants.json").read_text() == "mine"


def test_record_keeps_the_entries_of_processes_side_by_side(tmp_path):
    names = [f"p{number}" for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for _ in pool.map(lambda name: add_record(tmp_path, name, {"seed": 1}), names):
            pass
    assert sorted(json.loads((tmp_path / "implants.json").read_text())) == sorted(names)
