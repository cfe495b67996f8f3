"""Score a folder of predictions against a folder of references, on as many processes as one likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluation.metrics import Mode, check_mode
from evaluation.reporting.outputs import write_scores
from evaluation.scoring.case import score_case, spacing_notes
from evaluation.scoring.cases import Pair, join_cases, read_pair
from evaluation.scoring.processes import each_in_a_process
from evaluation.scoring.scores import Row, Scores, summarise
from vestibule.editions import Edition, get_edition

__all__ = ["Scores", "score_case", "score_folder", "summarise"]


@dataclass(frozen=True)
class CaseScores:
    """Rows of one case, why its prediction counts as empty, and what else is worth knowing."""

    rows: list[Row]
    problem: str | None
    notes: list[str]


def score_folder(
    predictions_dir: Path,
    references_dir: Path,
    out_dir: Path,
    edition: int | Edition,
    mode: Mode = "default",
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Score every reference of a folder, write `metrics.json` and `cases.csv` into `out_dir`, and return the scores.

    With `workers`, so many processes share the cases, and a file that kills its reader costs its case alone; without,
    all happens in this process. `on_case` is told how many cases of how many are done. Raises InputError where the
    folders do not belong together or a reference cannot be read; a bad prediction costs its own case
    (`Scores.problems`).
    """
    edition = edition if isinstance(edition, Edition) else get_edition(edition)
    check_mode(mode)
    joined = join_cases(predictions_dir, references_dir, edition)
    extra = [path.name for path in joined.extra]
    scores = scores_of(joined.pairs, edition, mode, extra, workers, on_case)
    write_scores(Path(out_dir), scores)
    return scores


def scores_of(
    pairs: list[Pair],
    edition: Edition,
    mode: Mode,
    extra: list[str] | None = None,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> Scores:
    """Score pairs, and gather what was found of all of them, in their order.

    Args:
        pairs: The cases.
        edition: What their labels mean.
        mode: Which definitions hold.
        extra: Predictions of cases that have no reference, by name.
        workers: How many processes share the cases; without, all happens in this process.
        on_case: Told how many cases of how many are done.

    Returns:
        The scores. A prediction that cannot be used counts as empty and is named in `Scores.problems`.

    Raises:
        InputError: A reference cannot be read.
    """
    results = score_pairs(pairs, edition, mode, workers, on_case)
    rows: list[Row] = []
    problems: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for pair in pairs:
        result = results[pair.case]
        rows += result.rows
        if result.problem:
            problems[pair.case] = result.problem
        if result.notes:
            notes[pair.case] = result.notes
    return Scores(rows, summarise(rows), mode, edition.year, problems, extra or [], notes)


def score_pairs(
    pairs: list[Pair],
    edition: Edition,
    mode: Mode,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CaseScores]:
    """Scores of each pair by case, in no order; see `score_folder`. Raises InputError for a reference."""
    score = partial(_score_pair, edition=edition, mode=mode)
    results = {}
    for pair, result in each_in_a_process(score, pairs, workers) if workers else ((p, score(p)) for p in pairs):
        # A process that died left no scores; without the prediction the case can still be scored.
        results[pair.case] = result or score(pair.without_prediction("the process that read it died"))
        on_case(len(results), len(pairs))
    return results


def _score_pair(pair: Pair, edition: Edition, mode: Mode) -> CaseScores:
    aligned = read_pair(pair, mode)
    notes = [*aligned.notes, *spacing_notes(aligned.geometry, mode)]
    return CaseScores(score_case(pair.case, aligned, edition, mode), aligned.problem, notes)
