"""The page of an evaluation, without a browser: what it holds, what is asked of it, and the sheets."""

import json
import re
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from evaluation.reporting.colours import pens_of
from evaluation.reporting.report import build, viewer
from evaluation.reporting.report.page import view_document, worst_first, write_report
from evaluation.reporting.report.plots import dot_plot
from evaluation.reporting.report.sheets import sheet_row, write_sheets
from evaluation.reporting.report.viewer import viewer_source
from evaluation.reporting.views import CaseView
from evaluation.scoring.scores import Scores, summarise
from vestibule.cli import main
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.volume import Geometry, Volume, write_volume

CASES = ("crossmoda2022_etz_1", "crossmoda2021_ldn_2", "crossmoda2021_ldn_3")


@pytest.fixture
def folders(save, labels, geometry: Geometry, tmp_path: Path) -> list[str]:
    """Three cases: a perfect one, one whose tumour is missed, and one whose mask lies beside; with their images."""
    predictions = labels, np.where(labels == 1, 0, labels).astype(np.uint8), np.roll(labels, 1, axis=2)
    for case, prediction in zip(CASES, predictions, strict=True):
        save("r", case, labels)
        save("p", case, prediction)
        write_volume(tmp_path / "t2" / f"{case}_hrT2.nii.gz", Volume(labels.astype(np.float32) * 100, geometry))
    return [str(tmp_path / "p"), str(tmp_path / "r"), str(tmp_path / "out")]


def run(monkeypatch, *arguments: str) -> int:
    """The command in this process, which is quicker than to start others; its exit code."""
    monkeypatch.setattr("sys.argv", ["vestibule", "evaluate", *arguments])
    monkeypatch.setattr("evaluation.scoring.processes.default_workers", lambda items: None)
    try:
        main()
    except SystemExit as stop:
        return stop.code or 0
    return 0


def embedded(page: str) -> dict[str, dict]:
    """Documents of the views in a page, by case."""
    return {
        case: json.loads(text)
        for case, text in re.findall(r'<script type="application/json" data-view="([^"]+)">(.*?)</script>', page)
    }


def row(case: str, dice: float, structure: str = "vs") -> dict:
    scores = dict.fromkeys(("assd_mm", "hd95_pooled_mm", "volume_error_mm3"), 1.0)
    return {"case": case, "structure": structure, "dice": dice, **scores}


def test_the_command_writes_a_page_of_its_own_content_alone(folders, tmp_path, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *folders, "--images", str(tmp_path / "t2"), "--views", "2") == 0
    assert str(tmp_path / "out" / "report.html") in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    listed = re.findall(r'<tr tabindex="-?\d" data-case="([^"]+)"', page)
    assert listed == [CASES[1], CASES[2], CASES[0]]
    assert list(embedded(page)) == [CASES[1], CASES[2]]
    assert "2 of 3 cases can be opened" in page
    assert re.findall(r'\b(?:src|href)="[^"]*"', page) == []
    assert "BSD 2-Clause" in viewer_source()[:400]


def test_scores_that_are_asked_for_alone_bring_no_page(folders, tmp_path, monkeypatch) -> None:
    assert run(monkeypatch, *folders, "--no-report") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"metrics.json", "cases.csv"}


def test_without_the_viewers_package_the_scores_are_written_and_the_page_is_noted(
    folders, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(build, "PACKAGES", ("jinja2", "no_such_package"))
    assert run(monkeypatch, *folders) == 0
    assert "no report.html, no_such_package not installed" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"metrics.json", "cases.csv"}
    assert run(monkeypatch, *folders, "--report") == 1
    assert "a report needs no_such_package" in capsys.readouterr().err


def test_sheets_show_every_case_worst_first(folders, tmp_path, monkeypatch) -> None:
    arguments = "--no-report", "--sheets", "--images", str(tmp_path / "t2")
    assert run(monkeypatch, *folders, *arguments) == 0
    assert not (tmp_path / "out" / "report.html").exists()
    sheet = matplotlib.image.imread(tmp_path / "out" / "sheets" / "sheet_01.png")[..., :3]
    pictures = sheet[: len(sheet) * 9 // 10]

    def rows_with(colour: str) -> np.ndarray:
        apart = np.abs(pictures - to_rgb(colour)).max(axis=2)
        return (apart < 0.1).any(axis=1)

    tumour, cochlea = pens_of(get_edition(2022))
    reference, predicted = rows_with(tumour.reference), rows_with(tumour.prediction)
    predicted_cochlea = rows_with(cochlea.prediction)
    worst, middle, best = np.array_split(np.arange(len(pictures)), 3)
    # The worst has a cochlea, and its tumour is missed.
    assert reference[worst].any()
    assert predicted_cochlea[worst].any()
    assert not predicted[worst].any()
    assert reference[middle].any()
    assert predicted[middle].any()
    assert predicted[best].any()


def test_a_case_with_an_unusable_prediction_is_named_in_the_page(folders, tmp_path, monkeypatch) -> None:
    (tmp_path / "p" / f"{CASES[0]}_Label.nii.gz").write_bytes(b"broken <script>")
    assert run(monkeypatch, *folders) == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Scored as empty" in page
    assert f"<strong>{CASES[0]}</strong>" in page
    assert any(CASES[0] in note for note in embedded(page)[CASES[0]]["notes"])


def test_nothing_in_a_name_or_note_becomes_part_of_the_page(geometry, tmp_path) -> None:
    hostile = "</script><img src=x>"
    rows = [row(hostile, 0.5)]
    scores = Scores(rows, summarise(rows), "default", 2022, notes={hostile: [hostile]})
    empty = np.zeros(geometry.size_zyx, dtype=np.uint8)
    view = CaseView(hostile, empty, empty, empty, geometry, (hostile,))
    write_report(tmp_path / "page.html", scores, {hostile: view_document(view)})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert hostile not in page
    assert page.count("<img src=x>") == 0
    assert next(iter(embedded(page).values()))["notes"] == [hostile]


def test_the_same_view_gives_the_same_document(geometry, labels) -> None:
    view = CaseView("a", labels * 100, labels, labels, geometry)
    assert view_document(view) == view_document(view)
    document = view_document(view)
    assert document["size"] == [10, 12, 8]
    assert document["spacing"] == [0.4, 0.5, 1.5]
    assert document["towards"] == ["L", "P", "S"]


def test_a_case_brings_its_headline_scores_for_the_window_that_opens(folders, tmp_path, monkeypatch) -> None:
    assert run(monkeypatch, *folders) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    captions = dict(re.findall(r'data-case="([^"]+)" data-caption="([^"]+)"', page))
    assert captions[CASES[0]] == "VS: Dice 1.000, ASSD 0.00 mm; cochlea: Dice 1.000, ASSD 0.00 mm"
    assert captions[CASES[1]].startswith("VS: Dice 0.000, ASSD ")


def test_the_legend_names_every_structure_in_its_colours(folders, tmp_path, monkeypatch) -> None:
    assert run(monkeypatch, *folders) == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for pen in pens_of(get_edition(2022)):
        for colour in (pen.reference, pen.prediction):
            assert re.search(rf'class="key[^"]*" style="--colour: {colour}">{pen.title}<', page)


def test_worst_is_the_least_dice_of_any_structure_then_the_lower_mean() -> None:
    rows = [row("good", 0.9), row("half", 0.0), row("none", 0.0)]
    rows += [row("good", 0.8, "cochlea"), row("half", 0.7, "cochlea"), row("none", 0.0, "cochlea")]
    assert worst_first(rows) == ["none", "half", "good"]


def test_a_plot_has_a_dot_a_case_in_its_place() -> None:
    plot = dot_plot("Dice <", {"a": 0.0, "b": 1.0, "c": 0.5}, limits=(0.0, 1.0))
    places = {case: float(x) for x, case in re.findall(r'<circle cx="([\d.]+)"[^>]*data-case="(\w)"', plot)}
    assert places["c"] == pytest.approx((places["a"] + places["b"]) / 2)
    assert places["a"] < places["b"]
    assert "Dice &lt;" in plot
    decades = dot_plot("ASSD", {"a": 0.1, "b": 1.0, "c": 10.0})
    x = [float(place) for place in re.findall(r'<circle cx="([\d.]+)"', decades)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_a_sheet_that_cannot_be_written_is_named(geometry, labels, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    rows = [sheet_row(CaseView("a", labels, labels, labels, geometry))]
    with pytest.raises(InputError, match=r"sheet_01\.png: cannot be written"):
        write_sheets(tmp_path / "file" / "sheets", rows, {}, get_edition(2022))


def test_a_sheet_shows_slices_as_radiologists_look_at_them_and_numbers_those_of_the_whole_image(geometry, labels):
    axes_to_right_front_head = replace(geometry, direction=(-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    view = CaseView("a", labels, labels, labels, axes_to_right_front_head, first_slice=20)
    row = sheet_row(view, count=4)
    assert row.plane.edges == ("R", "L", "A", "P")
    np.testing.assert_array_equal(row.references, labels[2:6, ::-1, ::-1])
    assert row.numbers == (22, 23, 24, 25)


def test_a_viewer_of_another_make_is_refused(monkeypatch, tmp_path) -> None:
    package = tmp_path / "other_viewer"
    (package / "static").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "static" / "widget.js").write_text("export default 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(viewer, "PACKAGE", "other_viewer")
    with pytest.raises(InputError, match="constraints"):
        viewer_source()
    (package / "static" / "widget.js").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        viewer_source()
    monkeypatch.setattr(viewer, "PACKAGE", "no_such_viewer")
    with pytest.raises(InputError, match="pip install no_such_viewer"):
        viewer_source()
