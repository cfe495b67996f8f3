"""The organisers' evaluation container: the platform's folders, a flat folder, and what a submission may get wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from evalutils import ClassificationEvaluation
from evalutils.exceptions import ValidationError

from evaluation.platform.grand_challenge import MaskEvaluation
from evaluation.scoring.folder import score_folder
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Volume, write_volume

EDITION = get_edition(2022)
CASES = ("crossmoda2021_ldn_1", "crossmoda2021_ldn_2", "crossmoda2022_etz_10")
SLUG = "vestibular-schwannoma"


def evaluated(tmp_path: Path, **options) -> dict:
    """What the evaluation of `tmp_path`'s folders `p` and `r` writes."""
    output = tmp_path / "output" / "new" / "metrics.json"
    MaskEvaluation(
        edition=EDITION,
        ground_truth_path=tmp_path / "r",
        predictions_path=tmp_path / "p",
        output_file=output,
        **options,
    ).evaluate()
    return json.loads(output.read_text(), parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))


def job(case: str, key: str = "socket", outputs: tuple[str, ...] = (SLUG,)) -> dict:
    """One entry of the platform's listing."""
    return {
        "pk": f"pk-of-{case}",
        "inputs": [{key: {"slug": "t2-mri"}, "image": {"name": EDITION.target_name(case)}}],
        "outputs": [{key: {"slug": slug, "relative_path": f"images/{slug}"}} for slug in outputs]
        + [{key: {"slug": "results", "relative_path": "results.json"}, "value": {}}],
    }


def submit(tmp_path: Path, jobs: list[dict]) -> Path:
    (tmp_path / "p").mkdir(exist_ok=True)
    (tmp_path / "p" / "predictions.json").write_text(json.dumps(jobs))
    return tmp_path / "p" / "predictions.json"


def output_folder(tmp_path: Path, case: str, slug: str = SLUG) -> Path:
    return tmp_path / "p" / f"pk-of-{case}" / "output" / "images" / slug


@pytest.fixture
def submission(tmp_path: Path, save, labels, geometry):
    """Three cases on the platform; the mask of the second lies one voxel off."""
    for shift, case in enumerate(CASES):
        save("r", case, labels)
        moved = np.roll(labels, 1 if shift == 1 else 0, axis=2)
        write_volume(output_folder(tmp_path, case) / f"{shift}.mha", Volume(moved, geometry))
    submit(tmp_path, [job(case, key) for case, key in zip(CASES, ("socket", "interface", "socket"), strict=True)])
    return tmp_path


def test_it_is_an_evalutils_evaluation() -> None:
    assert issubclass(MaskEvaluation, ClassificationEvaluation)


def test_masks_are_joined_by_the_case_of_their_input(submission: Path) -> None:
    metrics = evaluated(submission)
    assert metrics["case"]["case"] == {"0": CASES[0], "1": CASES[1], "2": CASES[2]}
    assert metrics["case"]["vs_dice"] == pytest.approx({"0": 1.0, "1": 2 / 3, "2": 1.0})
    assert metrics["aggregates"]["vs_dice"]["mean"] == pytest.approx(8 / 9)
    assert set(metrics["aggregates"]["vs_dice"]) == {"count", "mean", "std", "min", "25pc", "50pc", "75pc", "max"}
    assert metrics["mode"] == "challenge"


def test_a_flat_folder_gives_what_the_command_gives(tmp_path: Path, save, labels) -> None:
    for case in CASES:
        save("r", case, labels)
    for case in (*CASES[:2], "crossmoda2022_etz_99"):
        save("p", case, np.roll(labels, len(case) % 2, axis=1))
    platform = evaluated(tmp_path)
    score_folder(tmp_path / "p", tmp_path / "r", tmp_path / "out", 2022, "challenge")
    command = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for part in ("case", "aggregates", "summary", "mode"):
        assert platform[part] == command[part]
    assert platform["extra"] == ["crossmoda2022_etz_99"]
    assert list(platform["scored_as_empty"]) == [CASES[2]]


def test_a_single_case_has_no_nan(tmp_path: Path, save, labels) -> None:
    for folder in ("p", "r"):
        save(folder, CASES[0], labels)
    assert evaluated(tmp_path)["aggregates"]["cochlea_assd_mm"]["std"] == 0.0


def test_two_empty_masks_are_scored_and_do_not_fail_the_submission(tmp_path: Path, save, labels) -> None:
    for case in CASES:
        save("r", case, labels)
        save("p", case, np.zeros_like(labels))
    metrics = evaluated(tmp_path)
    assert set(metrics["case"]["vs_assd_mm"].values()) == {350.0}


def test_what_a_submission_gets_wrong_costs_its_own_case(submission: Path, save, labels) -> None:
    (output_folder(submission, CASES[0]) / "0.mha").write_bytes(b"broken")
    (output_folder(submission, CASES[1]) / "again.mha").write_bytes(b"two")
    metrics = evaluated(submission)
    assert metrics["case"]["vs_dice"] == {"0": 0.0, "1": 0.0, "2": 1.0}
    assert "0.mha" in metrics["scored_as_empty"][CASES[0]]
    assert "expected one mask, found 1.mha, again.mha" in metrics["scored_as_empty"][CASES[1]]


def test_a_job_that_is_not_listed_is_a_missing_case(submission: Path) -> None:
    submit(submission, [job(CASES[0])])
    assert evaluated(submission)["scored_as_empty"] == dict.fromkeys(CASES[1:], "no prediction")


def test_two_masks_of_a_case_in_a_flat_folder_cost_that_case(tmp_path: Path, save, labels) -> None:
    for folder in ("p", "r"):
        for case in CASES[:2]:
            save(folder, case, labels)
    save("p", CASES[0], labels, edition=2023)
    metrics = evaluated(tmp_path)
    assert metrics["scored_as_empty"] == {CASES[0]: "more than one mask; keep one"}
    assert metrics["case"]["vs_dice"] == {"0": 0.0, "1": 1.0}


def test_two_references_of_a_case_are_the_organisers_mistake(tmp_path: Path, save, labels) -> None:
    for folder in ("p", "r"):
        save(folder, CASES[0], labels)
    save("r", CASES[0], labels, edition=2023)
    with pytest.raises(ValidationError, match=f"case {CASES[0]} has more than one mask"):
        evaluated(tmp_path)


def test_a_link_into_the_references_is_refused(tmp_path: Path, save, labels) -> None:
    reference = save("r", CASES[0], labels)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / reference.name).symlink_to(reference)
    assert "link into the references" in evaluated(tmp_path)["scored_as_empty"][CASES[0]]


def test_of_several_image_outputs_the_slug_names_one(submission: Path, geometry) -> None:
    for case in CASES:
        write_volume(
            output_folder(submission, case, "other") / "x.mha",
            Volume(np.zeros(geometry.size_zyx, dtype=np.uint8), geometry),
        )
    submit(submission, [job(case, outputs=(SLUG, "other")) for case in CASES])
    with pytest.raises(InputError, match="name it by its slug"):
        evaluated(submission)
    assert evaluated(submission, slug=SLUG)["case"]["vs_dice"]["0"] == 1.0


def test_folders_that_do_not_belong_together_fail(tmp_path: Path, save, labels) -> None:
    save("r", CASES[0], labels)
    save("p", CASES[1], labels)
    with pytest.raises(InputError, match="no mask belongs to a case"):
        evaluated(tmp_path)
    (tmp_path / "r" / EDITION.label_name(CASES[0])).unlink()
    with pytest.raises(InputError, match="no mask of edition 2022"):
        evaluated(tmp_path)


def test_one_case_can_be_scored_alone(submission: Path) -> None:
    evaluation = MaskEvaluation(
        edition=EDITION,
        ground_truth_path=submission / "r",
        predictions_path=submission / "p",
        output_file=submission / "m.json",
    )
    evaluation.load()
    evaluation.merge_ground_truth_and_predictions()
    evaluation.cross_validate()
    assert evaluation.score_case(idx=1, case=evaluation._cases.iloc[1])["vs_dice"] == pytest.approx(2 / 3)
