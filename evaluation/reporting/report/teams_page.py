"""`report.html` of many teams: the ranking, statistics, and a section a team with its worst cases."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evaluation.metrics import headlines
from evaluation.reporting.report.page import worst_first
from evaluation.reporting.report.plots import dot_plot
from evaluation.reporting.table import TextTable, structure_title, table1
from evaluation.scoring.scores import Scores, by_structure
from evaluation.statistics import comparison_table, group_table
from evaluation.teams.results import TeamsResult
from evaluation.teams.scoring import PAGE
from vestibule import __version__
from vestibule.files import write_text

_HERE = Path(__file__).parent
WORST_SHOWN = 5
"""Cases of a team that its section names."""


@dataclass(frozen=True)
class TeamSection:
    """What the page shows of one team that is ranked."""

    name: str
    anchor: str
    """Of the section, for links within the page."""
    place: int
    cumulative_rank: str
    places_95: str
    """Interval of places over the bootstraps; empty without any."""
    page: str | None
    """Address of the team's own page, seen from this one; None where it has none."""
    summary: TextTable
    groups: TextTable
    """Of its cases by site and size."""
    plots: tuple[Markup, ...]
    worst: TextTable
    problems: dict[str, str]
    """Cases that were scored as empty, and why."""
    extra: tuple[str, ...]
    notes: dict[str, str]
    """What else is worth knowing of a case."""


def write_teams_report(out_dir: Path, result: TeamsResult, teams_folder: str) -> Path:
    """Write the page of all teams.

    Args:
        out_dir: Where it goes.
        result: What was found.
        teams_folder: Folder within `out_dir` that has a folder for each team, with the team's own page.

    Returns:
        The page.

    Raises:
        InputError: The disk refuses.
    """
    sections = []
    for number, team in enumerate(result.document["ranking"], start=1):
        name = team["team"]
        groups = group_table({name: result.statistics["groups"][name]})
        section = _section(team, number, result.ranked[name], groups, _page_of(name, out_dir, teams_folder))
        sections.append(section)

    templates = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    style = ""
    for name in ("page.css", "teams.css"):
        style += (_HERE / name).read_text(encoding="utf-8")
    template = templates.get_template("teams.html.j2")
    page = template.render(
        version=__version__,
        document=result.document,
        ranking=_ranking(result.document),
        sections=sections,
        comparisons=_comparisons(result.statistics, sections[0].name),
        copies=result.copies,
        style=Markup(style),
    )
    path = out_dir / PAGE
    write_text(path, page)
    return path


def _ranking(document: dict) -> TextTable:
    """Place, cumulative ranks and mean scores of the teams that are ranked."""
    first = document["ranking"][0]
    header = ["place", "team", "rank"]
    for part in first["cumulative_rank_of"]:
        header.append(_part_title(part))
    for measure in first["mean"]:
        header.append(_mean_title(measure))
    if document["bootstraps"]:
        header.append("95 % of bootstraps")

    rows = []
    for team in document["ranking"]:
        place = str(team["place"])
        cells = [place, team["team"], f"{team['cumulative_rank']:.2f}"]
        for rank in team["cumulative_rank_of"].values():
            cells.append(f"{rank:.2f}")
        for mean in team["mean"].values():
            cells.append(f"{mean:.3f}")
        if document["bootstraps"]:
            cells.append(_interval(team))
        rows.append(tuple(cells))
    return TextTable(tuple(header), tuple(rows))


def _part_title(part: str) -> str:
    """What a column of ranks over one structure or metric is called."""
    for metric in headlines():
        if part == metric.key:
            return f"rank, {metric.label}"
    return f"rank, {structure_title(part)}"


def _mean_title(name: str) -> str:
    """What a column of mean scores is called, from `vs_assd_mm`."""
    for metric in headlines():
        ending = f"_{metric.key}"
        if name.endswith(ending):
            structure = structure_title(name.removesuffix(ending))
            return f"mean {structure} {metric.title}"
    return name


def _interval(team: dict) -> str:
    """`1 to 2`; `1` where both ends are one."""
    low, high = team["bootstrap"]["place_95"]
    return str(low) if low == high else f"{low} to {high}"


def _page_of(team: str, out_dir: Path, teams_folder: str) -> str | None:
    """Address of a team's own page, seen from the page of all; None where it has none."""
    if not (out_dir / teams_folder / team / PAGE).is_file():
        return None
    return f"{teams_folder}/{quote(team)}/{PAGE}"


def _comparisons(statistics: dict, first: str) -> TextTable | None:
    """The table of each further team against the `first`; None where there is no further one."""
    # All are against the first, which the heading says.
    by_team = {}
    for pair, found in statistics["comparisons"].items():
        by_team[pair.removesuffix(f" - {first}")] = found
    if not by_team:
        return None
    table = comparison_table(by_team)
    return replace(table, header=("team", *table.header[1:]))


def _without_team(table: TextTable) -> TextTable:
    """A table of one team without the column that names it."""
    rows = tuple(row[1:] for row in table.rows)
    return TextTable(table.header[1:], rows, table.names - 1)


def _section(team: dict, number: int, scores: Scores, groups: TextTable, page: str | None) -> TeamSection:
    name = team["team"]
    plots = []
    for structure, rows in by_structure(scores.rows).items():
        for metric in headlines():
            values = {}
            for row in rows:
                case = str(row["case"])
                values[case] = float(row[metric.key])
            title = f"{structure_title(structure)} {metric.title}"
            plot = dot_plot(title, values, metric.limits)
            plots.append(Markup(plot))

    notes = {}
    for case, own_notes in scores.notes.items():
        notes[case] = "; ".join(own_notes)
    summary = table1({name: scores.summary})
    return TeamSection(
        name=name,
        anchor=f"team-{number}",
        place=team["place"],
        cumulative_rank=f"{team['cumulative_rank']:.2f}",
        places_95=_interval(team) if "bootstrap" in team else "",
        page=page,
        summary=_without_team(summary),
        groups=_without_team(groups),
        plots=tuple(plots),
        worst=_worst(scores),
        problems=scores.problems,
        extra=tuple(scores.extra),
        notes=notes,
    )


def _worst(scores: Scores) -> TextTable:
    """The worst cases of a team with their headline metrics, the worst first."""
    cells: dict[str, list[str]] = {}
    header = ["case"]
    for structure, rows in by_structure(scores.rows).items():
        title = structure_title(structure)
        for metric in headlines():
            header.append(f"{title} {metric.title}")
            for row in rows:
                case = str(row["case"])
                value = float(row[metric.key])
                own = cells.setdefault(case, [])
                own.append(f"{value:.{metric.digits}f}")

    worst = []
    for case in worst_first(scores.rows)[:WORST_SHOWN]:
        worst.append((case, *cells[case]))
    return TextTable(tuple(header), tuple(worst), names=1)
