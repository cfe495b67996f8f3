"""`vestibule evaluate-teams`: zips to scores, ranking and report; a bad team costs no other anything."""

import csv
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluation.reporting.outputs import read_rows
from vestibule.cli import main
from vestibule.volume import Volume, write_volume

CASES = ("crossmoda2021_ldn_2", "crossmoda2022_etz_1")


def run(monkeypatch, *arguments: object) -> int:
    words = [str(argument) for argument in arguments]
    monkeypatch.setattr("sys.argv", ["vestibule", "evaluate-teams", *words, "--workers", "1", "--bootstraps", "20"])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def shifted(labels: np.ndarray, by: int) -> np.ndarray:
    return np.roll(labels, by, axis=2)


@pytest.fixture
def folders(save, labels, tmp_path: Path) -> list[Path]:
    """Submissions, references and out: `good` is perfect, `fair` one voxel off, each with both cases."""
    for case in CASES:
        save("references", case, labels)
        save("submissions/good", case, labels)
        save("fair", case, shifted(labels, 1))
    pack(tmp_path / "submissions" / "fair.zip", tmp_path / "fair")
    return [tmp_path / name for name in ("submissions", "references", "out")]


def pack(path: Path, folder: Path, within: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for mask in sorted(folder.iterdir()):
            archive.write(mask, within + mask.name)
    return path


def ranking(out: Path) -> dict:
    return json.loads((out / "ranking.json").read_text())


def order(out: Path) -> list[tuple[int, str, float]]:
    return [(team["place"], team["team"], team["cumulative_rank"]) for team in ranking(out)["ranking"]]


def test_zips_become_scores_ranking_and_report(folders, monkeypatch, capsys) -> None:
    out = folders[-1]
    assert run(monkeypatch, *folders) == 0
    assert order(out) == [(1, "good", 1.0), (2, "fair", 2.0)]
    document = ranking(out)
    assert (document["mode"], document["edition"], document["failed"]) == ("challenge", 2022, [])
    # By hand: the tumour is 3 voxels wide, and one of three columns is off on either side.
    assert document["ranking"][1]["mean"]["vs_dice"] == pytest.approx(2 / 3)
    assert {path.name for path in out.iterdir()} == {
        *("ranking.json", "ranking.csv", "scores.csv", "statistics.json", "report.html", "teams")
    }
    assert len(read_rows(out / "teams" / "fair")) == 4
    assert "fair - good" in json.loads((out / "statistics.json").read_text())["comparisons"]
    page = (out / "report.html").read_text()
    assert 'href="teams/fair/report.html"' in page
    assert "2 teams ranked over 2 cases" in page
    assert "team fair: scored" in capsys.readouterr().err


def test_a_ranked_team_whose_masks_lie_elsewhere_is_named_beside_the_ranking(
    folders, save, labels, geometry, monkeypatch
) -> None:
    elsewhere = replace(geometry, origin_xyz=(0.0, 0.0, 0.0))
    for case in CASES:
        save("submissions/moved", case, labels, elsewhere)
    # Ranked all the same, as the organisers' rules have it.
    assert run(monkeypatch, *folders) == 0
    page = (folders[-1] / "report.html").read_text()
    noted = page[page.index('id="noted"') :]
    noted = noted[: noted.index("</div>")]
    # A team without any note is not among them.
    assert "<strong>fair</strong>" not in noted
    assert "<strong>moved</strong>" in noted
    assert "lies elsewhere than the reference; compared voxel by voxel" in noted


def test_the_table_of_all_scores_ranks_alike(folders, monkeypatch, capsys) -> None:
    run(monkeypatch, *folders, "--no-report")
    capsys.readouterr()
    table = folders[-1] / "scores.csv"
    monkeypatch.setattr("sys.argv", ["vestibule", "rank", str(table), "--bootstraps", "0", "--json"])
    main()
    found = json.loads(capsys.readouterr().out)["ranking"]
    assert [(team["place"], team["team"], team["cumulative_rank"]) for team in found] == order(folders[-1])


def write_scores(folder: Path, mode: str, cases: tuple = CASES) -> None:
    folder.mkdir(parents=True)
    lines = ["case,structure,dice,assd_mm"]
    for case in cases:
        lines += [f"{case},vs,0.9,0.4", f"{case},cochlea,0.8,0.2"]
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    (folder / "metrics.json").write_text(json.dumps({"mode": mode, "edition": 2022}))


def cut(submissions: Path, save, labels, geometry) -> None:
    whole = (submissions / "fair.zip").read_bytes()
    (submissions / "bad.zip").write_bytes(whole[: len(whole) // 2])


def lead_out(submissions: Path, save, labels, geometry) -> None:
    with zipfile.ZipFile(submissions / "bad.zip", "w") as archive:
        archive.writestr("../out.nii.gz", "x")


def leave_out(submissions: Path, save, labels, geometry) -> None:
    save("submissions/bad", CASES[0], labels)


def use_other_labels(submissions: Path, save, labels, geometry) -> None:
    for case in CASES:
        save("submissions/bad", case, labels * 2)


def use_another_size(submissions: Path, save, labels, geometry) -> None:
    part = replace(geometry, size_zyx=(8, 12, 9))
    for case in CASES:
        save("submissions/bad", case, labels[:, :, :9], part)


def use_other_names(submissions: Path, save, labels, geometry) -> None:
    for case in ("patient_1", "patient_2"):
        save("submissions/bad", case, labels)


def write_no_image(submissions: Path, save, labels, geometry) -> None:
    (submissions / "bad").mkdir()
    for case in CASES:
        (submissions / "bad" / f"{case}_Label.nii.gz").write_text("no image")


def score_by_another_mode(submissions: Path, save, labels, geometry) -> None:
    write_scores(submissions / "bad", "default")


def score_one_case(submissions: Path, save, labels, geometry) -> None:
    write_scores(submissions / "bad", "challenge", CASES[:1])


SPOILT = {
    cut: "not a whole zip file",
    lead_out: "leads out of the folder; refused",
    leave_out: f"1 of 2 cases without a usable mask: {CASES[1]}: no prediction",
    use_other_labels: "holds 4, which is no label of edition 2022",
    use_another_size: "2 of 2 cases without a usable mask",
    use_other_names: "none of its 2 masks belongs to a case",
    write_no_image: "2 of 2 cases without a usable mask",
    score_by_another_mode: "scored with --mode default; this ranking is of --mode challenge",
    score_one_case: f"lacks case {CASES[1]}",
}
"""What makes a team called `bad` bad, and what its reason must say."""


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_bad_team_is_named_and_the_others_are_ranked_as_before(
    spoil, folders, save, labels, geometry, tmp_path, monkeypatch, capsys
) -> None:
    submissions, _, out = folders
    assert run(monkeypatch, *folders, "--no-report") == 0
    before = order(out)
    spoil(submissions, save, labels, geometry)
    reason = SPOILT[spoil]
    capsys.readouterr()
    assert run(monkeypatch, *folders, "--no-report") == 1
    assert order(out) == before
    (failed,) = ranking(out)["failed"]
    assert (failed["team"], failed["place"]) == ("bad", 3)
    assert reason in failed["reason"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("vestibule: error: 1 of 3 teams failed, ranked last: bad: ")
    assert reason in last
    assert not list(tmp_path.glob("**/out.nii.gz"))


def test_a_failed_team_is_left_out_or_scored_as_empty_where_asked(folders, save, labels, monkeypatch) -> None:
    submissions, _, out = folders
    # Perfect where it has a mask, so that it stands between the others by its mean rank.
    leave_out(submissions, save, labels, None)
    (submissions / "none.zip").write_text("no zip")
    assert run(monkeypatch, *folders, "--no-report", "--failed", "out") == 1
    assert [team["place"] for team in ranking(out)["failed"]] == [None, None]
    with (out / "ranking.csv").open() as stream:
        rows = {row["team"]: row for row in csv.DictReader(stream)}
    assert rows["none"]["place"] == ""
    assert "not a whole zip file" in rows["none"]["failed"]

    assert run(monkeypatch, *folders, "--no-report", "--failed", "empty") == 1
    # good 1, 1; bad 1, 3; fair 3, 2; none 4, 3.
    assert order(out) == [(1, "good", 1.0), (2, "bad", 2.0), (3, "fair", 2.5), (4, "none", 3.5)]
    means = {team["team"]: team["mean"] for team in ranking(out)["ranking"]}
    assert means["none"] == {"vs_dice": 0, "vs_assd_mm": 350, "cochlea_dice": 0, "cochlea_assd_mm": 350}
    assert means["bad"]["vs_dice"] == 0.5


def test_a_rerun_scores_new_and_changed_teams_alone_and_finds_the_same(folders, save, labels, monkeypatch, capsys):
    submissions, _, out = folders
    run(monkeypatch, *folders)
    first = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    capsys.readouterr()
    assert run(monkeypatch, *folders) == 0
    assert capsys.readouterr().err.count("scored before, not changed") == 2
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == first

    save("submissions/good", CASES[0], shifted(labels, 2))
    shutil.copytree(submissions / "good", submissions / "third")
    run(monkeypatch, *folders)
    captured = capsys.readouterr()
    told = [line for line in captured.err.splitlines() if line.startswith("team ")]
    assert told == ["team fair: scored before, not changed", "team good: scored", "team third: scored"]
    assert "good and third handed in the same files" in captured.err

    # What somebody altered by hand is not trusted, and other definitions are other scores.
    cases = out / "teams" / "fair" / "cases.csv"
    cases.write_text(cases.read_text().replace("0.6", "0.7"))
    run(monkeypatch, *folders)
    assert "team fair: scored\n" in capsys.readouterr().err
    run(monkeypatch, *folders, "--mode", "default")
    assert capsys.readouterr().err.count(": scored\n") == 3


def test_scores_of_a_team_that_fails_now_do_not_stay(folders, monkeypatch) -> None:
    submissions, _, out = folders
    run(monkeypatch, *folders, "--no-report")
    (submissions / "fair.zip").write_text("no zip")
    assert run(monkeypatch, *folders, "--no-report") == 1
    assert list((out / "teams" / "fair").iterdir()) == []


@pytest.mark.parametrize("place", ["submissions", "submissions/out", "references"])
def test_results_do_not_go_among_what_is_read(place, folders, tmp_path, monkeypatch, capsys) -> None:
    submissions, references, _ = folders
    before = sorted(tmp_path.rglob("*"))
    assert run(monkeypatch, submissions, references, tmp_path / place, "--no-report") == 1
    assert "name another folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_reference_is_the_organisers_and_stops_all(folders, save, labels, monkeypatch, capsys) -> None:
    save("references", CASES[0], labels * 2)
    assert run(monkeypatch, *folders, "--no-report") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "references" in last
    assert "no label of edition 2022" in last
    assert not (folders[-1] / "ranking.json").exists()


def test_no_team_that_can_be_ranked_is_an_error(folders, monkeypatch, capsys) -> None:
    submissions, _, _ = folders
    shutil.rmtree(submissions / "good")
    (submissions / "fair.zip").write_text("no zip")
    assert run(monkeypatch, *folders, "--no-report") == 1
    assert "no team can be ranked (fair: " in capsys.readouterr().err


def test_images_are_shown_in_the_teams_pages(folders, labels, geometry, tmp_path, monkeypatch) -> None:
    for case in CASES:
        write_volume(tmp_path / "t2" / f"{case}_hrT2.nii.gz", Volume(labels.astype(np.float32), geometry))
    assert run(monkeypatch, *folders, "--images", tmp_path / "t2", "--views", "1") == 0
    page = (folders[-1] / "teams" / "fair" / "report.html").read_text()
    assert page.count("data-view=") == 1


def test_a_team_may_hand_in_a_folder_within_its_zip_and_names_with_signs(folders, tmp_path, monkeypatch) -> None:
    submissions, _, out = folders
    pack(submissions / "<b>=1+1 & Söhne.zip", tmp_path / "fair", within="masks/")
    assert run(monkeypatch, *folders) == 0
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;=1+1 &amp; Söhne" in page
    assert "teams/%3Cb%3E%3D1%2B1%20%26%20S%C3%B6hne/report.html" in page


def test_the_published_scores_as_twelve_submissions_give_the_published_ranking(shared_data, tmp_path, monkeypatch):
    with (shared_data / "crossmoda2022" / "score_test.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for case in {row["Case"] for row in rows}:
        # Nobody reads the voxels of a reference that no mask is held against.
        path = tmp_path / "references" / f"{case}_Label.nii.gz"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case.encode())
    (tmp_path / "submissions").mkdir()
    for team in {row["Team"] for row in rows}:
        with (tmp_path / "submissions" / f"{team}.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [name for name in rows[0] if name != "Team"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in rows if row["Team"] == team)
    (tmp_path / "submissions" / "late.zip").write_text("no zip")

    folders = [tmp_path / name for name in ("submissions", "references", "out")]
    assert run(monkeypatch, *folders, "--edition", "2022") == 1
    found = [(team, round(rank, 2)) for _, team, rank in order(folders[-1])]
    assert len(found) == 12
    assert found[:4] == [("ne2e", 2.95), ("MAI", 3.38), ("LaTIM", 3.82), ("Super_Polymerization", 4.25)]
    assert found[-1] == ("Of_Men_and_Rabbits", 11.26)
    assert ranking(folders[-1])["cases"] == 271
    assert ranking(folders[-1])["failed"][0]["place"] == 13
