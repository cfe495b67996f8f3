"""`report.html`: summary, distributions, a table of cases and linked views of each, in one file that opens offline."""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.metrics import METRICS, Metric, headlines, primary
from evaluation.metrics.volume import VOLUME
from evaluation.reporting.colours import Pen, pens_of
from evaluation.reporting.plane import side_of
from evaluation.reporting.report.plots import dot_plot
from evaluation.reporting.report.viewer import viewer_source
from evaluation.reporting.table import structure_title, table1
from evaluation.reporting.views import CaseView
from evaluation.scoring.cases import natural_order
from evaluation.scoring.scores import DEFINITIONS, Row, Scores, by_structure
from vestibule import __version__
from vestibule.editions import get_edition
from vestibule.files import write_text
from vestibule.volume import Volume, write_volume

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Column:
    """A metric of a structure in the table of cases."""

    structure: str
    metric: Metric

    @property
    def name(self) -> str:
        """The heading: `VS ASSD (mm)`."""
        structure = structure_title(self.structure)
        return f"{structure} {self.metric.title}"

    @property
    def worst(self) -> str:
        """Which end is worst, `low` or `high`; the first click on the heading puts it on top."""
        if self.metric.higher_is_better:
            return "low"
        return "high"

    def value(self, rows: dict[str, Row]) -> float | str:
        """The value of a case, whose rows are given by structure; empty where the metric does not apply."""
        row = rows[self.structure]
        return row.get(self.metric.key, "")

    def shown(self, rows: dict[str, Row]) -> str:
        """The same as text."""
        value = self.value(rows)
        if isinstance(value, str):
            return value
        digits = self.metric.digits
        return f"{value:.{digits}f}"


def write_report(
    path: Path, scores: Scores, views: dict[str, dict], title: str = "Evaluation", is_scored: bool = True
) -> None:
    """Write the page of an evaluation, or of masks without references.

    Args:
        path: The file to write.
        scores: What the evaluation found.
        views: Documents of `view_document` by case; other cases cannot be opened.
        title: Heading of the page.
        is_scored: Whether there are references; without, the page shows volumes, and `scores` holds nothing else.

    Raises:
        InputError: The viewer's package is missing or the disk refuses.
    """
    templates = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    template = templates.get_template("page.html.j2")

    documents = {case: _as_script(document) for case, document in views.items()}
    viewer = ""
    if views:
        source = viewer_source()
        viewer = packed(source.encode())
    plotted = headlines() if is_scored else [VOLUME]
    columns = _columns(scores.rows, plotted, is_scored)
    order = worst_first(scores.rows) if is_scored else doubtful_first(scores)
    notes = [metric.note for metric in METRICS.values() if metric.note]
    pens = pens_of(get_edition(scores.edition))
    page = template.render(
        title=title,
        version=__version__,
        scores=scores,
        is_scored=is_scored,
        definition=DEFINITIONS[scores.mode],
        table=table1({"all": scores.summary}) if is_scored else None,
        plots=_plots(scores.rows, plotted),
        order=_order_text(),
        remarks=notes,
        columns=columns,
        cases=_case_rows(scores, order, plotted),
        pens=pens,
        structures=_as_script(_structures(pens)),
        style=_own_file("page.css"),
        script=_own_file("page.js"),
        viewer=viewer,
        views=documents,
    )
    write_text(Path(path), page)


def worst_first(rows: list[Row]) -> list[str]:
    """Cases by the primary metric, Dice: the one whose worst structure is worst first, then that with the worse mean.

    Cases that tie in both stand by name.
    """
    metric = primary()
    badness: dict[str, list[float]] = {}
    for row in rows:
        case = str(row["case"])
        value = float(row[metric.key])
        if metric.higher_is_better:
            value = -value
        of_case = badness.setdefault(case, [])
        of_case.append(value)

    def key(case: str) -> tuple[float, float, str]:
        values = badness[case]
        return -max(values), -sum(values), case

    return sorted(badness, key=key)


def doubtful_first(scores: Scores) -> list[str]:
    """Cases with a problem, then those with a note, then the others, each by name."""
    names = {str(row["case"]) for row in scores.rows}

    def key(case: str) -> tuple[bool, bool, list]:
        return case not in scores.problems, case not in scores.notes, natural_order(case)

    return sorted(names, key=key)


def view_document(view: CaseView) -> dict:
    """What the page holds of a view: the image as a NIfTI file for NiiVue, and the labels for the outlines.

    `labels` is one byte a voxel, x fastest: the reference's label in the low half, the prediction's in the high one.
    Sizes, spacings in mm, the sides of the patient that the axes run towards, and the voxel to open at are in the order
    x, y, z; `first` is the number of the lowest slice among the image's `slices`.
    """
    labels = view.reference | view.prediction << 4
    return {
        "size": list(view.reference.shape[::-1]),
        "spacing": list(view.geometry.spacing_zyx[::-1]),
        "towards": [side_of(direction) for direction in view.geometry.matrix.T],
        "open": list(view.opened_at_zyx[::-1]),
        "first": view.first_slice,
        "slices": view.slices,
        "image": _packed_image(view),
        "labels": packed(labels.tobytes()),
        "notes": list(view.notes),
    }


def packed(content: bytes) -> str:
    """`content` as gzip in base64, the same text for the same bytes."""
    compressed = gzip.compress(content, 6, mtime=0)
    return base64.b64encode(compressed).decode("ascii")


def _plots(rows: list[Row], metrics: list[Metric]) -> list[Markup]:
    plots = []
    for structure, own in by_structure(rows).items():
        for metric in metrics:
            values = {}
            for row in own:
                case = str(row["case"])
                # A mask that cannot be read has no volume.
                if metric.key in row:
                    values[case] = float(row[metric.key])
            if not values:
                continue
            title = f"{structure_title(structure)} {metric.title}"
            plot = dot_plot(title, values, metric.limits)
            plots.append(Markup(plot))
    return plots


def _columns(rows: list[Row], plotted: list[Metric], is_scored: bool) -> list[Column]:
    columns = []
    for structure in by_structure(rows):
        for metric in METRICS.values():
            if metric in plotted or (is_scored and metric.in_report):
                columns.append(Column(structure, metric))
    return columns


def _order_text() -> str:
    """How `worst_first` orders cases, in words."""
    metric = primary()
    end = "least" if metric.higher_is_better else "largest"
    return f"by the {end} {metric.label} of any structure"


def _case_rows(scores: Scores, order: list[str], metrics: list[Metric]) -> list[dict]:
    by_case: dict[str, dict[str, Row]] = {}
    for row in scores.rows:
        case, structure = str(row["case"]), str(row["structure"])
        rows = by_case.setdefault(case, {})
        rows[structure] = row

    found = []
    for case in order:
        notes = list(scores.notes.get(case, ()))
        if case in scores.problems:
            notes.insert(0, scores.problems[case])
        rows = by_case[case]
        found.append({"case": case, "rows": rows, "notes": notes, "caption": _caption(rows, metrics)})
    return found


def _caption(rows: dict[str, Row], metrics: list[Metric]) -> str:
    """The headline scores of a case, whose rows are given by structure: `VS: Dice 0.91, ASSD 0.42 mm; cochlea: ...`."""
    parts = []
    for structure, row in rows.items():
        values = []
        for metric in metrics:
            if metric.key not in row:
                continue
            value = float(row[metric.key])
            text = f"{metric.label} {value:.{metric.digits}f} {metric.unit}"
            values.append(text.strip())
        if values:
            listed = ", ".join(values)
            parts.append(f"{structure_title(structure)}: {listed}")
    return "; ".join(parts)


def _structures(pens: list[Pen]) -> list[dict]:
    """What the page's script knows of structures: their label values, and their colours on either side."""
    structures = []
    for pen in pens:
        item = {
            "values": list(pen.values),
            "reference": pen.reference,
            "prediction": pen.prediction,
        }
        structures.append(item)
    return structures


def _own_file(name: str) -> Markup:
    text = (_HERE / name).read_text(encoding="utf-8")
    return Markup(text)


def _as_script(document: dict | list[dict]) -> Markup:
    # Inside a script element, only "<" could end it.
    text = json.dumps(document).replace("<", "\\u003c")
    return Markup(text)


def _packed_image(view: CaseView) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        write_volume(path, Volume(view.image, view.geometry))
        return packed(path.read_bytes())
