"""An edition that is only an entry of `EDITIONS` has phantoms: its folders, its sites, its labels."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from training.commands.phantom import phantom as command
from training.phantom.config import PhantomConfig
from training.phantom.population import make_population
from training.phantom.render import label_voxels
from training.phantom.scanner import PROTOCOLS, protocols_of
from vestibule.editions import EDITIONS, Edition
from vestibule.volume import read_labels

YEAR_2027 = Edition(
    year=2027,
    source_folder="t1",
    target_folder="t2",
    validation_folder="t2_unseen",
    source_suffix="T1C",
    target_suffix="T2SPACE",
    label_suffix="Mask",
    structures={"vs": (1,), "cochlea": (2,), "facial_nerve": (3,)},
    case_pattern=r"crossmoda2027_(ldn|oslo)_\d+",
    sites=("ldn", "oslo"),
)
SHARES = {
    "extrameatal": np.array([[[0.6, 0.2, 0.0, 0.0]]], dtype=np.float32),
    "intrameatal": np.array([[[0.0, 0.7, 0.0, 0.0]]], dtype=np.float32),
    "cochlea": np.array([[[0.0, 0.0, 0.8, 0.1]]], dtype=np.float32),
}
"""A voxel each out of the canal, in the canal, in the cochlea, and of none."""


@pytest.fixture
def add_edition(monkeypatch):
    """Make an edition known for the time of a test, by its entry alone."""

    def add(edition):
        monkeypatch.setitem(EDITIONS, edition.year, edition)
        return edition

    return add


def test_population_of_a_new_edition_has_its_folders_sites_and_labels(add_edition, tmp_path):
    add_edition(YEAR_2027)
    config = PhantomConfig(
        cases=2, validation=1, edition=2027, prevalence=1.0, shape_zyx=(10, 48, 48), spacing_zyx=(3.0, 2.0, 2.0)
    )
    make_population(tmp_path / "out", config)

    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.nii.gz")}
    assert names == {
        "t1/crossmoda2027_ldn_1_T1C.nii.gz",
        "t1/crossmoda2027_ldn_1_Mask.nii.gz",
        "t1/crossmoda2027_oslo_2_T1C.nii.gz",
        "t1/crossmoda2027_oslo_2_Mask.nii.gz",
        "t2/crossmoda2027_ldn_3_T2SPACE.nii.gz",
        "t2/crossmoda2027_oslo_4_T2SPACE.nii.gz",
        "references/t2/crossmoda2027_ldn_3_Mask.nii.gz",
        "references/t2/crossmoda2027_oslo_4_Mask.nii.gz",
        "t2_unseen/crossmoda2027_ldn_5_T2SPACE.nii.gz",
        "references/t2_unseen/crossmoda2027_ldn_5_Mask.nii.gz",
    }
    values = set()
    for path in (tmp_path / "out").rglob("*_Mask.nii.gz"):
        values |= set(np.unique(read_labels(path).voxels).tolist())
    # The facial nerve is rendered, but nobody labels it.
    assert values == {0, 1, 2}
    with (tmp_path / "out" / "population.csv").open() as stream:
        assert [row["site"] for row in csv.DictReader(stream)] == ["ldn", "oslo", "ldn", "oslo", "ldn"]
    assert (tmp_path / "out" / "preview.png").is_file()


def test_command_knows_a_new_edition(add_edition, tmp_path):
    add_edition(YEAR_2027)
    small = ["--cases", "1", "--validation", "1", "--shape", "8,16,16", "--spacing", "6,6,6"]
    result = CliRunner().invoke(command, [str(tmp_path / "out"), *small, "--edition", "2027", "--site", "oslo"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "t1" / "crossmoda2027_oslo_1_T1C.nii.gz").is_file()
    assert "2027" in CliRunner().invoke(command, ["--help"]).output


def test_site_that_nobody_described_scans_as_clinical_routine():
    for contrast in ("ceT1", "T2"):
        assert protocols_of("oslo", contrast) == PROTOCOLS["ukm", contrast]
        assert protocols_of("etz", contrast) == PROTOCOLS["etz", contrast] != PROTOCOLS["ukm", contrast]


@pytest.mark.parametrize(
    ("structures", "parts", "labels"),
    [
        ({"vs": (1,), "cochlea": (2,), "facial_nerve": (3,)}, {}, [1, 1, 2, 0]),
        ({"vs": (4,), "cochlea": (7,)}, {}, [4, 4, 7, 0]),
        # Two values without parts: nobody says which is which, so the first stands for the whole.
        ({"vs": (1, 2), "cochlea": (3,)}, {}, [1, 1, 3, 0]),
        ({"vs": (1, 2), "cochlea": (3,)}, {"vs_extrameatal": (2,), "vs_intrameatal": (1,)}, [2, 1, 3, 0]),
        ({"vs": (1, 5)}, {"vs_intrameatal": (5,)}, [1, 5, 0, 0]),
        ({"vs": (1, 2), "cochlea": (3,)}, {"vs_solid": (1,), "vs_cystic": (2,)}, [1, 1, 3, 0]),
        ({"cochlea": (1,)}, {}, [0, 0, 1, 0]),
    ],
)
def test_labels_are_those_of_the_structures_and_parts_that_are_modelled(add_edition, structures, parts, labels):
    add_edition(replace(YEAR_2027, structures=structures, parts=parts))
    assert label_voxels(SHARES, 2027).ravel().tolist() == labels
