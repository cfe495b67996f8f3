"""`report.html`: summary, distributions, a table of cases and linked views of each, in one file that opens offline."""

from __future__ import annotations

import base64
import gzip
import json
import tempfile
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.reporting.outputs import write_text
from evaluation.reporting.report.plots import dot_plot
from evaluation.reporting.report.viewer import viewer_source
from evaluation.reporting.table import STRUCTURE_NAMES, table1
from evaluation.reporting.views import CaseView
from evaluation.scoring.scores import DEFINITIONS, Row, Scores
from vestibule import __version__
from vestibule.volume import Volume, write_volume

_HERE = Path(__file__).parent


def write_report(path: Path, scores: Scores, views: dict[str, dict], title: str = "Evaluation") -> None:
    """Write the page of an evaluation. `views` are documents of `view_document` by case; other cases cannot be opened.

    Raises InputError where the viewer's package is missing or the disk refuses.
    """
    templates = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("page.html.j2").render(
        title=title,
        version=__version__,
        scores=scores,
        definition=DEFINITIONS[scores.mode],
        table=table1({"all": scores.summary}),
        plots=[Markup(plot) for plot in _plots(scores.rows)],
        columns=_columns(scores.rows),
        cases=_case_rows(scores),
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        viewer=packed(viewer_source().encode()) if views else "",
        views={case: _as_script(document) for case, document in views.items()},
    )
    write_text(Path(path), page)


def worst_first(rows: list[Row]) -> list[str]:
    """Cases, the one with the least Dice of any structure first; of equal ones that with the lower mean Dice."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["case"], []).append(row["dice"])
    return sorted(scores, key=lambda case: (min(scores[case]), sum(scores[case]), case))


def view_document(view: CaseView) -> dict:
    """What the page holds of a view: the image as a NIfTI file for NiiVue, and the labels for the outlines.

    `labels` is one byte a voxel, x fastest: the reference's label in the low half, the prediction's in the high one.
    """
    return {
        "size": list(view.reference.shape[::-1]),
        "image": _packed_image(view),
        "labels": packed((view.reference | view.prediction << 4).tobytes()),
        "notes": list(view.notes),
    }


def packed(content: bytes) -> str:
    """`content` as gzip in base64, the same text for the same bytes."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii")


def _plots(rows: list[Row]) -> list[str]:
    plots = []
    for structure in dict.fromkeys(row["structure"] for row in rows):
        own = [row for row in rows if row["structure"] == structure]
        name = STRUCTURE_NAMES.get(structure, structure)
        plots.append(dot_plot(f"{name} Dice", {row["case"]: row["dice"] for row in own}))
        plots.append(dot_plot(f"{name} ASSD (mm)", {row["case"]: row["assd_mm"] for row in own}, log=True))
    return plots


def _columns(rows: list[Row]) -> list[dict]:
    columns = []
    for structure in dict.fromkeys(row["structure"] for row in rows):
        name = STRUCTURE_NAMES.get(structure, structure)
        columns += [
            {"structure": structure, "metric": "dice", "name": f"{name} Dice", "digits": 3},
            {"structure": structure, "metric": "assd_mm", "name": f"{name} ASSD mm", "digits": 2},
            {"structure": structure, "metric": "hd95_pooled_mm", "name": f"{name} HD95 mm", "digits": 2},
            {"structure": structure, "metric": "volume_error_mm3", "name": f"{name} volume error mm³", "digits": 0},
        ]
    return columns


def _case_rows(scores: Scores) -> list[dict]:
    cases: dict[str, dict[str, Row]] = {}
    for row in scores.rows:
        cases.setdefault(row["case"], {})[row["structure"]] = row
    return [
        {
            "case": case,
            "rows": cases[case],
            "notes": [note for note in (scores.problems.get(case), *scores.notes.get(case, ())) if note],
        }
        for case in worst_first(scores.rows)
    ]


def _as_script(document: dict) -> Markup:
    # Inside a script element, only "<" could end it.
    return Markup(json.dumps(document).replace("<", "\\u003c"))


def _packed_image(view: CaseView) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.nii"
        write_volume(path, Volume(view.image, view.geometry))
        return packed(path.read_bytes())
