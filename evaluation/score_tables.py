"""Per-case scores from CSV files: the organisers' table of all teams, and what `vestibule evaluate` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from evaluation.csv_tables import check_columns, number_of, read_table
from evaluation.metrics import headlines
from evaluation.ranking import Field
from evaluation.scoring.scores import Row
from vestibule.commands.options import resolve_edition
from vestibule.csv_cells import unescaped
from vestibule.editions import EDITIONS, Edition, edition_of, get_edition
from vestibule.errors import InputError
from vestibule.files import read_json

WORST = "give a missing mask the worst score"
Measure = tuple[str, str]
"""Structure and metric."""
TeamScores = dict[tuple[str, str], dict[Measure, float]]
"""{(team, case): {(structure, metric): score}}"""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Teams:
    """Scores of several teams, and whose scores cannot be used."""

    scores: TeamScores
    faults: dict[str, str] = field(default_factory=dict)
    """Team -> what is wrong with its scores, the first thing that was found."""

    @property
    def names(self) -> list[str]:
        """All teams, with faults or without."""
        found = {team for team, _ in self.scores}
        return sorted(found | self.faults.keys())


def read_scores(path: Path, team: str) -> TeamScores:
    """Scores by team and case, as `read_teams` reads them.

    Raises InputError, naming file and line, for the first score of any team that is missing, no finite number or given
    twice.
    """
    teams = read_teams(path, team)
    for fault in teams.faults.values():
        raise InputError(fault)
    return teams.scores


def read_teams(path: Path, team: str) -> Teams:
    """Scores by team and case from a CSV file in either form; a score that cannot be read costs its team alone.

    Wide: a column `Case`, one a structure and metric (`VS_Dice`, `Cochlea_ASSD`) and `Team`. Long: `case`, `structure`,
    `dice`, `assd_mm`, as `vestibule evaluate` writes it. Without a column `team`, all belong to `team`.

    Raises InputError, naming the file, where it is no such table.
    """
    path = Path(path)
    scores: TeamScores = {}
    faults: dict[str, str] = {}
    for line, row in read_table(path):
        of_team = unescaped(row.get("team", "")) or team
        try:
            _add_row(row, of_team, scores)
        except ValueError as error:
            faults.setdefault(of_team, f"{path}: line {line}: {error}")
    if not scores and not faults:
        raise InputError(f"{path}: holds no scores")
    return Teams(scores, faults)


def _add_row(row: dict[str, str], team: str, scores: TeamScores) -> None:
    """Add the scores of a row. Raises ValueError where it lacks its case, or has a score that is none or known."""
    case = unescaped(row.get("case", ""))
    if not case:
        raise ValueError("no case")
    # A long table has a row for each structure of a case, a wide one a row for each case.
    found = _measures(row)
    known = scores.setdefault((team, case), {})
    for structure, metric in found:
        if (structure, metric) in known:
            raise ValueError(f"case {case} is given twice, with {structure}")
    known |= found


def whole_teams(teams: Teams, path: Path) -> Teams:
    """The teams that can be ranked, over the cases and measures of the field, and why each other team cannot.

    The field has the cases and measures that at least half of the teams have: a further case of one team is not ranked,
    and a team that lacks a case of the field would escape it.

    Raises InputError, naming `path`, where no team is left.
    """
    sound: TeamScores = {}
    for (team, case), values in teams.scores.items():
        if team not in teams.faults:
            sound[team, case] = values
    names = sorted({team for team, _ in sound})
    cases = _of_half([case for _, case in sound], len(names))
    measures = _of_half(_measures_of_teams(sound), len(names))
    if sound and not measures:
        raise InputError(f"{path}: no column of scores; expected, for instance, VS_Dice or dice")

    faults = dict(teams.faults)
    whole: TeamScores = {}
    for team in names:
        own = {case: sound.get((team, case), {}) for case in cases}
        fault = _lacks(own, measures)
        if fault:
            faults[team] = f"{fault}; {WORST}"
            continue
        for case, values in own.items():
            # A team may have more than the field is ranked by.
            whole[team, case] = {measure: values[measure] for measure in measures}

    if not whole:
        reasons = "; ".join(f"{team}: {reason}" for team, reason in faults.items())
        raise InputError(f"{path}: no team can be ranked ({reasons or 'no two teams have a case in common'})")
    return Teams(whole, faults)


def _measures_of_teams(scores: TeamScores) -> list[Measure]:
    """Each measure once for each team that has it in any case."""
    # Dictionaries without values, since sets have no order.
    by_team: dict[str, dict[Measure, None]] = {}
    for (team, _), values in scores.items():
        known = by_team.setdefault(team, {})
        known.update(dict.fromkeys(values))
    measures = []
    for known in by_team.values():
        measures += list(known)
    return measures


def _of_half(items: Iterable[Item], teams: int) -> list[Item]:
    """Items that were given at least half as often as there are teams, in the order in which they first came."""
    counts = Counter(items)
    return [item for item, count in counts.items() if 2 * count >= teams]


def _lacks(own: dict[str, dict[Measure, float]], measures: list[Measure]) -> str | None:
    """What a team, whose scores are given by case, lacks of the field, in words; None where it has all."""
    lacking = [case for case, values in own.items() if not values]
    if lacking:
        first = min(lacking)
        further = len(lacking) - 1
        more = f" and {further} more" if further else ""
        return f"lacks case {first}{more}"
    for case, values in own.items():
        for structure, metric in measures:
            if (structure, metric) not in values:
                return f"lacks {structure} {metric} of case {case}"
    return None


def as_field(scores: TeamScores, path: Path) -> Field:
    """The field of all teams. Raises InputError, naming `path`, where a team lacks a case or a measure."""
    teams = sorted({team for team, _ in scores})
    cases = sorted({case for _, case in scores})
    any_scores = next(iter(scores.values()))
    measures = tuple(any_scores)
    if not measures:
        raise InputError(f"{path}: no column of scores; expected, for instance, VS_Dice or dice")

    # A gap would let a team escape its worst cases, so there may be none.
    shape = (len(cases), len(teams), len(measures))
    values = np.empty(shape)
    for column, team in enumerate(teams):
        for row, case in enumerate(cases):
            known = scores.get((team, case))
            if known is None:
                raise InputError(f"{path}: team {team} lacks case {case}; {WORST}")
            if known.keys() != set(measures):
                raise InputError(f"{path}: team {team} lacks a measure of case {case}; {WORST}")

            # Files may name the measures in different orders.
            ordered = [known[measure] for measure in measures]
            values[row, column] = ordered

    return Field(tuple(teams), tuple(cases), measures, values)


def with_own_scores(published: TeamScores, own: TeamScores, own_path: Path) -> tuple[TeamScores, int]:
    """A published field with one more team, over the cases that both have; and how many cases that leaves out.

    Raises InputError where the two share no case, a measure is missing or the team's name is taken.
    """
    # Own scores are of one team.
    team, _ = next(iter(own))
    teams = {name for name, _ in published}
    cases = {case for _, case in published}
    own_cases = {case for _, case in own}
    common = cases & own_cases
    any_scores = next(iter(published.values()))
    measures = set(any_scores)
    if team in teams:
        raise InputError(f"{own_path}: a team called {team} is in the field; choose another with --name")
    if not common:
        raise InputError(f"{own_path}: no case of the field; it has, for instance, {min(cases)}")

    joined = {}
    for (name, case), values in published.items():
        if case in common:
            joined[name, case] = values

    for case in common:
        known = own[team, case]
        missing = measures - known.keys()
        if missing:
            structure, metric = min(missing)
            raise InputError(f"{own_path}: case {case} has no {metric} of {structure}")

        # Own scores may hold more than the field was ranked by.
        joined[team, case] = {measure: known[measure] for measure in measures}

    left_out = cases - common
    return joined, len(left_out)


def edition_of_scores(scores_dir: Path, rows: list[Row], given: Edition | None = None) -> Edition:
    """The edition of what `vestibule evaluate` wrote into a folder.

    Args:
        scores_dir: The folder, whose `metrics.json` holds the edition.
        rows: Its `cases.csv`.
        given: What the user chose, if anything.

    Returns:
        The one that was given, else the one that case names tell, else that of `metrics.json`.

    Raises:
        InputError: None of them tells it, or the names contradict the one that was given.
    """
    cases = [str(row["case"]) for row in rows]
    # What was told at scoring counts where the names say nothing.
    if given is None and edition_of(cases) is None:
        path = scores_dir / "metrics.json"
        document = read_json(path)
        if isinstance(document, dict) and "edition" in document:
            try:
                return get_edition(document["edition"])
            except ValueError as error:
                raise InputError(f"{path}: {error}") from error
    return resolve_edition(given, cases, scores_dir)


def check_same_definitions(folders: dict[str, Path]) -> None:
    """Refuse arms that were scored by different definitions: their scores differ where their masks do not.

    `folders` maps an arm to what `vestibule evaluate` wrote. A folder without a `metrics.json` that tells is taken as
    it is. Raises InputError, naming two arms.
    """
    for told in _definitions_of(folders):
        for arm, definition in told.items():
            first, expected = next(iter(told.items()))
            if definition != expected:
                raise InputError(
                    f"{folders[arm]}: {arm} was scored with {definition}, {first} with {expected}; "
                    "score both alike with vestibule evaluate"
                )


def other_definitions(folders: dict[str, Path]) -> dict[str, str]:
    """Teams that were scored by other definitions than most, and by which, of teams and their folders of scores."""
    faults: dict[str, str] = {}
    for told in _definitions_of(folders):
        if not told:
            continue
        # Where two are as frequent, that of the team that was named first.
        (expected, _), *_ = Counter(told.values()).most_common(1)
        for team, definition in told.items():
            if definition != expected:
                faults.setdefault(team, f"{folders[team]}: scored with {definition}, most teams with {expected}")
    return faults


def definitions_fault(folder: Path, edition: Edition, mode: str) -> str | None:
    """Why scores in a folder are not of an edition's structures by a mode's definitions; None where nothing says so."""
    modes, structures = _definitions_of({"": folder})
    labels = _labels_text(edition.label_values())
    document = read_json(folder / "metrics.json")
    if isinstance(document, dict) and "labels" not in document:
        # Of an earlier version: it tells the year, not which of its parts is which.
        labels = _labels_text(EDITIONS.get(edition.year, edition).label_values())
    for told, expected in ((modes, f"--mode {mode}"), (structures, labels)):
        for definition in told.values():
            if definition != expected:
                return f"{folder}: scored with {definition}; this ranking is of {expected}"
    return None


def _definitions_of(folders: dict[str, Path]) -> tuple[dict[str, str], dict[str, str]]:
    """The mode and the labels with which each folder was scored, where its `metrics.json` tells."""
    modes: dict[str, str] = {}
    structures: dict[str, str] = {}
    for arm, folder in folders.items():
        document = read_json(Path(folder) / "metrics.json")
        if not isinstance(document, dict):
            continue
        if "mode" in document:
            modes[arm] = f"--mode {document['mode']}"
        year = document.get("edition")
        labels = document.get("labels")
        # Years with the same labels are scored alike.
        if isinstance(labels, dict):
            structures[arm] = _labels_text(labels)
        elif isinstance(year, int) and year in EDITIONS:
            structures[arm] = _labels_text(EDITIONS[year].label_values())
    return modes, structures


def _labels_text(labels: dict[str, list[int]]) -> str:
    """`labels vs 1+2, cochlea 3`: what the structures of an edition are made of."""
    structures = []
    for structure, values in labels.items():
        listed = values if isinstance(values, list) else [values]
        joined = "+".join(str(value) for value in listed)
        structures.append(f"{structure} {joined}")
    return "labels " + ", ".join(structures)


def _measures(row: dict[str, str]) -> dict[tuple[str, str], float]:
    """Each score in a row by structure and metric. Raises ValueError for what is no score of the metric."""
    ranked = [metric for metric in headlines() if metric.higher_is_better is not None]
    found: dict[tuple[str, str], float] = {}
    if "structure" in row:
        check_columns(row)
        structure = row["structure"]
        if not structure:
            raise ValueError("no structure")
        # Ours may have blank cells for what a metric does not apply to; a headline applies to all.
        for metric in ranked:
            if metric.key in row:
                found[structure, metric.key] = number_of(row[metric.key], metric)
        return found

    # The organisers' columns end with the metric's label (`VS_ASSD`), ours with its key (`vs_assd_mm`).
    endings = {}
    for metric in ranked:
        label = metric.label.lower().replace(" ", "_")
        endings[f"_{metric.key}"] = metric
        endings[f"_{label}"] = metric

    for column, text in row.items():
        matching = [ending for ending in endings if column.endswith(ending)]
        if matching:
            # The longest: a further `surface_dice` ends with `_dice` too.
            ending = max(matching, key=len)
            metric = endings[ending]
            measure = (column.removesuffix(ending), metric.key)
            if measure in found:
                raise ValueError(f"two columns hold {metric.key} of {measure[0]}; keep one of them")
            found[measure] = number_of(text, metric)
    return found
