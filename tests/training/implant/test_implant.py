"""Tumours in heads that were drawn without one: there the canals' true places are known."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from training.implant.canals import Canal, find_canals
from training.implant.cli import implant as command
from training.implant.lesion import implant
from training.phantom.anatomy import make_patient
from training.phantom.config import PhantomConfig
from training.phantom.render import render
from training.phantom.signals import SEQUENCES
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, read_labels, read_volume, write_volume

GEOMETRY = Geometry((10, 96, 88), (3.0, 1.6, 1.6), (-70.0, -76.0, -14.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


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


def test_both_canals_are_found_between_dark_bone():
    z, y, x = (
        np.arange(n) * step - offset for n, step, offset in ((12, 3.0, 15.0), (115, 2.0, 110.0), (105, 2.0, 104.0))
    )
    z, y, x = z[:, None, None], y[None, :, None], x[None, None, :]
    head = np.hypot(y / 94, x / 75) < 1
    brain = head & ((y > 25) | (np.abs(x) < 12))
    cistern = (np.abs(x) < 22) & (np.abs(y - 2) < 8)
    tubes = (np.abs(x) < 35) & (np.abs(y - 2) < 2.5) & (z == 3.0)
    voxels = np.select([cistern | tubes, brain, head], [300.0, 90.0, 10.0])
    image = Volume(
        voxels.astype(np.float32),
        Geometry((12, 115, 105), (3.0, 2.0, 2.0), (-104.0, -110.0, -15.0), GEOMETRY.direction),
    )
    found = find_canals(image)
    for side, sign in (("left", 1), ("right", -1)):
        assert 0.5 * (found[side].porus + found[side].fundus) == pytest.approx([sign * 29, 2, 3], abs=4)
        assert np.sign(found[side].fundus[0] - found[side].porus[0]) == sign


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


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("p01_T1W.nii.gz", [], "name a T2 of the same head by --t2"),
        ("p01.nii.gz", [], "say --contrast"),
        ("p01_T2W.nii.gz", ["--porus", "1,2,3"], "go together"),
    ],
)
def test_what_cannot_be_known_is_asked_for(head, tmp_path, name, options, words):
    write_volume(tmp_path / name, head[0])
    result = CliRunner().invoke(command, [str(tmp_path / name), str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert words in result.output
