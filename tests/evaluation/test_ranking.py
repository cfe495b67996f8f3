"""The challenge's ranking, by hand and on the organisers' published scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata

from evaluation.ranking import Field, places_of, rank
from evaluation.score_tables import as_field, read_scores, with_own_scores
from vestibule.cli import main
from vestibule.errors import InputError

PUBLISHED = {
    "ne2e": 2.95,
    "MAI": 3.38,
    "LaTIM": 3.82,
    "Super_Polymerization": 4.25,
    "A*DA": 4.90,
    "fgh_365": 5.61,
}
TABLE = """Case,VS_Dice,VS_ASSD,Team
a,0.9,0.4,one
a,0.9,0.5,two
a,0.1,0.1,three
b,0.8,0.5,one
b,0.9,0.5,two
b,0.7,0.6,three
"""


def field(scores: list, measures: tuple = (("vs", "dice"),)) -> Field:
    values = np.array(scores, dtype=float)
    names = tuple("abcdefgh"[: values.shape[1]])
    return Field(names, tuple(str(n) for n in range(values.shape[0])), measures, values)


def save(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["vestibule", "rank", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def test_teams_that_tie_share_the_best_place() -> None:
    assert places_of(np.array([0.2, 0.1, 0.2, 0.5])).tolist() == [2, 1, 2, 4]


def test_cumulative_rank_is_the_mean_over_measures_and_cases(tmp_path: Path) -> None:
    ranking = rank(as_field(read_scores(save(tmp_path / "s.csv", TABLE), "x"), tmp_path / "s.csv"), 0)
    assert ranking.field.teams == ("one", "three", "two")
    # one: Dice 1, 2 and ASSD 2, 1; three: 3, 3 and 1, 3; two: 1, 1 and 3, 1.
    assert ranking.cumulative == pytest.approx([1.5, 2.5, 1.5])
    assert ranking.places.tolist() == [1, 3, 1]
    assert ranking.cumulative_over("dice") == pytest.approx([1.5, 3.0, 1.0])


def test_higher_dice_and_lower_distance_are_better() -> None:
    ranking = rank(field([[[0.9, 3.0], [0.5, 1.0]]], (("vs", "dice"), ("vs", "assd_mm"))), 0)
    assert ranking.ranks[0].tolist() == [[1, 2], [2, 1]]


def test_bootstraps_agree_with_drawing_case_by_case() -> None:
    scores = np.random.default_rng(3).random((9, 4, 2)).round(1)
    measures = (("vs", "dice"), ("vs", "assd_mm"))
    found = rank(field(scores, measures), 20, np.random.default_rng(7))
    by_case = found.ranks.mean(axis=2)
    drawn = np.random.default_rng(7).integers(0, 9, (20, 9))
    for places, tau, cases in zip(found.sampled_places, found.taus, drawn, strict=True):
        expected = rankdata(by_case[cases].mean(axis=0).round(9), method="min")
        assert places.tolist() == expected.tolist()
        assert tau == pytest.approx(kendalltau(found.places, expected).statistic)


def test_one_team_far_ahead_is_first_in_every_bootstrap() -> None:
    ranking = rank(field(np.tile([[[0.9], [0.5], [0.1]]], (6, 1, 1))), 50)
    assert (ranking.sampled_places == [1, 2, 3]).all()
    assert (ranking.taus == 1).all()


def test_all_teams_equal_is_no_disagreement() -> None:
    ranking = rank(field(np.ones((4, 3, 1))), 5)
    assert ranking.places.tolist() == [1, 1, 1]
    assert (ranking.taus == 1).all()


@pytest.mark.parametrize("scores", [np.full((2, 2, 1), np.nan), np.empty((0, 2, 1)), np.empty((2, 2))])
def test_a_field_must_be_whole(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be"):
        Field(("a", "b"), ("1", "2")[: len(scores)], (("vs", "dice"),), scores)


@pytest.mark.parametrize("metric", ["kindness", "volume_mm3"])
def test_a_metric_without_a_better_end_cannot_be_ranked(metric: str) -> None:
    with pytest.raises(ValueError, match=f"got '{metric}'"):
        field([[[0.9], [0.5]]], (("vs", metric),))


def test_a_wide_table_may_use_our_names_of_metrics(tmp_path: Path) -> None:
    text = "Case,VS_Dice,VS_ASSD_mm,Team\na,0.9,0.4,one\n"
    scores = read_scores(save(tmp_path / "s.csv", text), "x")
    assert scores["one", "a"] == {("vs", "dice"): 0.9, ("vs", "assd_mm"): 0.4}


def test_published_scores_give_the_published_ranking(shared_data: Path, monkeypatch, capsys) -> None:
    path = shared_data / "crossmoda2022" / "score_test.csv"
    assert run(monkeypatch, path, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    teams = [(team["team"], round(team["cumulative_rank"], 2)) for team in document["ranking"]]
    assert teams[:6] == [(name, pytest.approx(value)) for name, value in PUBLISHED.items()]
    assert teams[-1] == ("Of_Men_and_Rabbits", pytest.approx(11.26))
    assert (document["cases"], len(teams), document["bootstraps"]) == (271, 12, 1000)
    assert 0.8 < document["kendall_tau"]["median"] <= 1


def test_own_scores_stand_in_the_field(shared_data: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    path = shared_data / "crossmoda2022" / "score_test.csv"
    cases = [line.split(",")[0] for line in path.read_text().splitlines()[1:272]]
    rows = [f"{case},{structure},1.0,0.0,5.0" for case in cases for structure in ("vs", "cochlea")]
    own = save(tmp_path / "cases.csv", "\n".join(["case,structure,dice,assd_mm,volume_mm3", *rows]))
    assert run(monkeypatch, path, "--add", own, "--name", "perfect", "--json", "--bootstraps", "20") == 0
    first, second = json.loads(capsys.readouterr().out)["ranking"][:2]
    assert (first["team"], first["cumulative_rank"], first["bootstrap"]["first"]) == ("perfect", 1.0, 1.0)
    assert second["team"] == "ne2e"
    assert second["cumulative_rank"] == pytest.approx(PUBLISHED["ne2e"] + 1, abs=0.03)


def test_own_scores_over_fewer_cases_are_ranked_over_those(tmp_path: Path, monkeypatch, capsys) -> None:
    table = save(tmp_path / "s.csv", TABLE)
    own = save(tmp_path / "cases.csv", "case,structure,dice,assd_mm\nb,vs,0.85,0.1\nz,vs,1,0\n")
    save(tmp_path / "metrics.json", '{"mode": "default"}')
    assert run(monkeypatch, table, "--add", own, "--bootstraps", "5") == 0
    out, err = capsys.readouterr()
    assert "1 cases, 4 teams" in out
    assert "lacks 1 cases of the field" in err
    assert "scored in the mode default" in err


def test_own_scores_by_another_definition_than_the_field_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    tables = []
    for mode in ("challenge", "default"):
        (tmp_path / mode).mkdir()
        tables.append(save(tmp_path / mode / "cases.csv", "case,structure,dice,assd_mm\nb,vs,0.85,0.1\n"))
        save(tmp_path / mode / "metrics.json", json.dumps({"mode": mode, "edition": 2022}))
    field_of_others, own = tables
    assert run(monkeypatch, field_of_others, "--add", own, "--bootstraps", "5") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "mine was scored with --mode default, cases.csv with --mode challenge" in last


def test_the_table_is_printed_from_best_to_worst(tmp_path: Path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, save(tmp_path / "s.csv", TABLE)) == 0
    out = capsys.readouterr().out
    assert out.index(" one ") < out.index(" two ") < out.index(" three ")
    assert "Kendall's tau of 1000 bootstraps" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no scores"),
        ("Case,VS_Dice,Team\na,x,one\n", "line 2: expected a finite number, got 'x'"),
        ("Case,VS_Dice,Team\na,nan,one\n", "line 2: expected a finite number"),
        ("Case,VS_Dice,Team\na,0.5,one\na,0.6,one\n", "line 3: case a is given twice"),
        ("Case,VS_Dice,Team\na,0.5,one\nb,0.6,two\n", "one: lacks case b"),
        ("Case,VS_Dice,VS_ASSD,Team\na,0.5\n", "line 2: expected a finite number, got ''"),
        ("Name,VS_Dice\na,0.5\n", "line 2: no case"),
        ("Case,Team\na,one\n", "no column of scores"),
    ],
)
def test_a_table_that_cannot_be_ranked_is_named(text, message, tmp_path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, save(tmp_path / "s.csv", text)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "s.csv" in last
    assert message in last


def test_a_file_that_is_no_table_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "s.csv").write_bytes(b"\xff\xfe\x00 binary")
    for path, cause in ((tmp_path / "s.csv", "not a CSV file"), (tmp_path / "none.csv", "No such file")):
        assert run(monkeypatch, path) == 1
        assert cause in capsys.readouterr().err.splitlines()[-1]


def test_own_scores_that_do_not_fit_are_named(tmp_path: Path) -> None:
    published = read_scores(save(tmp_path / "s.csv", TABLE), "x")
    mine = tmp_path / "m.csv"
    for team, text, message in (
        ("one", "case,structure,dice,assd_mm\na,vs,1,0\n", "a team called one is in the field"),
        ("mine", "case,structure,dice,assd_mm\nz,vs,1,0\n", "no case of the field; it has, for instance, a"),
        ("mine", "case,structure,dice\na,vs,1\n", "case a has no assd_mm of vs"),
    ):
        with pytest.raises(InputError, match=message):
            with_own_scores(published, read_scores(save(mine, text), team), mine)


def test_an_edition_that_the_case_names_contradict_is_refused(tmp_path, monkeypatch, capsys) -> None:
    path = save(tmp_path / "s.csv", "Case,VS_Dice,Team\ncrossmoda2023_etz_1,0.9,one\n")
    assert run(monkeypatch, path, "--edition", "2022", "--bootstraps", "0") == 1
    assert "called as those of edition 2023" in capsys.readouterr().err
    assert run(monkeypatch, path, "--edition", "2023", "--bootstraps", "0") == 0


BROKEN = TABLE + "a,0.7,0.3,four\nb,x,0.3,four\nb,0.6,0.9,five\n"


@pytest.mark.parametrize(("rule", "place"), [("last", 4), ("out", None)])
def test_a_team_that_lacks_a_score_stops_no_other(rule, place, tmp_path, monkeypatch, capsys) -> None:
    whole = save(tmp_path / "whole.csv", TABLE)
    assert run(monkeypatch, whole, "--bootstraps", "0", "--json") == 0
    before = json.loads(capsys.readouterr().out)["ranking"]
    broken = save(tmp_path / "s.csv", BROKEN)
    assert run(monkeypatch, broken, "--failed", rule, "--bootstraps", "0", "--json") == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["ranking"] == before
    assert [(team["team"], team["place"]) for team in document["failed"]] == [("five", place), ("four", place)]
    assert "lacks case a" in document["failed"][0]["reason"]
    assert "line 9: expected a finite number, got 'x'" in document["failed"][1]["reason"]
    assert "2 of 5 teams failed" in captured.err.splitlines()[-1]


def test_a_case_of_one_team_alone_is_no_case_of_the_field(tmp_path, monkeypatch, capsys) -> None:
    path = save(tmp_path / "s.csv", TABLE + "c,0.9,0.1,one\n")
    assert run(monkeypatch, path, "--bootstraps", "0", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 2


def test_folders_of_scores_are_ranked_and_other_definitions_are_a_fault(tmp_path, monkeypatch, capsys) -> None:
    for team, dice, mode in (("a", 0.9, "challenge"), ("b", 0.8, "challenge"), ("c", 0.99, "default")):
        (tmp_path / team).mkdir()
        save(tmp_path / team / "cases.csv", f"case,structure,dice,assd_mm\nx,vs,{dice},1\n")
        save(tmp_path / team / "metrics.json", json.dumps({"mode": mode, "edition": 2022}))
    teams = [f"{team}={tmp_path / team}" for team in "abc"]
    assert run(monkeypatch, *teams, f"d={tmp_path / 'none'}", "--bootstraps", "0", "--json", tmp_path / "r.json") == 1
    document = json.loads((tmp_path / "r.json").read_text())
    assert [team["team"] for team in document["ranking"]] == ["a", "b"]
    reasons = {team["team"]: team["reason"] for team in document["failed"]}
    assert "scored with --mode default, most teams with --mode challenge" in reasons["c"]
    assert "no such file" in reasons["d"] or "cannot be read" in reasons["d"]
    # With a file, the text is printed too.
    assert "cumulative rank" in capsys.readouterr().out
