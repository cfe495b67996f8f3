"""Another edition is an entry of `EDITIONS`: its phantoms are made, checked, scored, screened and told apart."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from evaluation.platform.container import evaluate_input
from vestibule.cli import main
from vestibule.editions import ANATOMY, EDITIONS, Anatomy, Edition
from vestibule.volume import read_labels, write_volume

EDITION = Edition(
    year=2027,
    source_folder="t1_labelled",
    target_folder="t2_unlabelled",
    validation_folder="t2_unseen",
    source_suffix="Gd",
    target_suffix="SPACE",
    label_suffix="Truth",
    prediction_suffix="Seg",
    structures={"vs": (1,), "cochlea": (2,), "facial_nerve": (3,)},
    case_pattern=r"crossmoda2027_(ldn|oslo)_\d+",
    sites=("ldn", "oslo"),
    anatomy=ANATOMY | {"facial_nerve": Anatomy("facial nerve", components=1)},
)
CASES = ("crossmoda2027_ldn_3", "crossmoda2027_oslo_4")
VOXEL_MM3 = 2.5 * 1.6 * 1.6


def run(monkeypatch, *words: object) -> int:
    """The exit code of `vestibule WORDS`."""
    monkeypatch.setattr("sys.argv", ["vestibule", *map(str, words)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Phantoms of the edition, made by the command; to their T2 labels a facial nerve of four voxels is added."""
    folder = tmp_path_factory.mktemp("edition") / "data"
    options = ("--cases", 1, "--validation", 2, "--shape", "20,64,64", "--spacing", "2.5,1.6,1.6", "--prevalence", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(EDITIONS, EDITION.year, EDITION)
        assert run(patch, "phantom", folder, "--edition", EDITION.year, *options) == 0
    for path in references(folder).iterdir():
        label = read_labels(path)
        label.voxels[10, 32, 30:34] = 3
        write_volume(path, label)
    return folder


def references(data: Path) -> Path:
    return EDITION.references_of(data, EDITION.validation_folder)


@pytest.fixture
def data(made, monkeypatch):
    monkeypatch.setitem(EDITIONS, EDITION.year, EDITION)
    return made


@pytest.fixture
def images(data):
    return data / EDITION.validation_folder


@pytest.fixture
def predictions(data, tmp_path):
    """The references under the names of a submission; of the first case's facial nerve, half."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for case in CASES:
        shutil.copy(references(data) / EDITION.label_name(case), folder / EDITION.prediction_name(case))
    first = folder / EDITION.prediction_name(CASES[0])
    mask = read_labels(first)
    mask.voxels[10, 32, 32:34] = 0
    write_volume(first, mask)
    return folder


def test_phantoms_lie_in_its_folders_under_its_names(data):
    names = {str(path.relative_to(data)) for path in data.rglob("*.nii.gz")}
    assert {name for name in names if name.startswith(("t1", "t2_unseen", "references/t2_unseen"))} == {
        "t1_labelled/crossmoda2027_ldn_1_Gd.nii.gz",
        "t1_labelled/crossmoda2027_ldn_1_Truth.nii.gz",
        "t2_unseen/crossmoda2027_ldn_3_SPACE.nii.gz",
        "t2_unseen/crossmoda2027_oslo_4_SPACE.nii.gz",
        "references/t2_unseen/crossmoda2027_ldn_3_Truth.nii.gz",
        "references/t2_unseen/crossmoda2027_oslo_4_Truth.nii.gz",
    }


def test_its_submissions_are_checked(predictions, images, monkeypatch, capsys):
    assert run(monkeypatch, "check", predictions, "--images", images) == 0
    path = predictions / EDITION.prediction_name(CASES[1])
    mask = read_labels(path)
    mask.voxels[0, 0, 0] = 4
    write_volume(path, mask)
    assert run(monkeypatch, "check", predictions, "--images", images) == 1
    assert path.name in capsys.readouterr().out


def test_its_submissions_are_scored_in_every_structure(data, predictions, tmp_path, monkeypatch):
    scores = tmp_path / "scores"
    assert run(monkeypatch, "evaluate", predictions, references(data), scores, "--no-report", "--workers", 1) == 0
    metrics = json.loads((scores / "metrics.json").read_text())
    assert metrics["edition"] == 2027
    assert list(metrics["summary"]) == ["vs", "cochlea", "facial_nerve"]
    # Two voxels of four: 2 * 2 / (2 + 4).
    assert metrics["case"]["facial_nerve_dice"] == pytest.approx({"0": 2 / 3, "1": 1.0})
    assert metrics["case"]["facial_nerve_volume_mm3"] == pytest.approx({"0": 2 * VOXEL_MM3, "1": 4 * VOXEL_MM3})

    assert run(monkeypatch, "statistics", f"arm={scores}", "--json", tmp_path / "statistics.json") == 0
    groups = json.loads((tmp_path / "statistics.json").read_text())["groups"]["arm"]
    own = [(item["group"], item["cases"]) for item in groups if item["structure"] == "facial_nerve"]
    assert own[:3] == [("all", 2), ("ldn", 1), ("oslo", 1)]


def test_its_submissions_are_screened(predictions, images, tmp_path, monkeypatch, capsys):
    found = tmp_path / "screened.json"
    # Without the images, whose field of view is too small to show a whole head.
    assert run(monkeypatch, "screen", predictions, "--json", found, "--workers", 1) == 0
    document = json.loads(found.read_text())
    assert document["edition"] == 2027
    assert document["cases"][1]["volumes_mm3"]["facial_nerve"] == pytest.approx(4 * VOXEL_MM3)

    path = predictions / EDITION.prediction_name(CASES[1])
    mask = read_labels(path)
    mask.voxels[mask.voxels == 3] = 0
    write_volume(path, mask)
    assert run(monkeypatch, "screen", predictions, "--images", images, "--workers", 1) == 1
    out = capsys.readouterr().out
    assert CASES[1] in out
    assert "facial_nerve: empty" in out


def test_the_organisers_container_scores_them(data, predictions, tmp_path):
    arguments = ["--input", str(predictions), "--references", str(references(data)), "--output", str(tmp_path / "out")]
    evaluate_input.main(arguments, standalone_mode=False)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["edition"] == 2027
    assert metrics["aggregates"]["facial_nerve_dice"]["mean"] == pytest.approx((2 / 3 + 1) / 2)


def test_an_edition_of_other_labels_is_refused_for_its_cases(predictions, monkeypatch, capsys):
    assert run(monkeypatch, "screen", predictions, "--edition", 2022) == 1
    assert "edition 2027" in capsys.readouterr().err.splitlines()[-1]


def test_nothing_else_was_touched(data):
    values = set()
    for path in (data / EDITION.source_folder).glob("*_Truth.nii.gz"):
        values |= set(np.unique(read_labels(path).voxels).tolist())
    # Nobody models a facial nerve: an edition may score what phantoms do not have.
    assert values == {0, 1, 2}
