"""Score a folder of predictions against a folder of references, on as many processes as one likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from evaluation.metrics import Mode, check_mode
from evaluation.reporting.outputs import write_scores
from evaluation.scoring.case import score_case, spacing_notes
from evaluation.scoring.cases import join_cases, read_pair
from evaluation.scoring.pairs import Pair
from evaluation.scoring.processes import each_in_a_process
from evaluation.scoring.scores import Row, Scores, summarise
from vestibule.editions import Edition, get_edition
from vestibule.files import printable

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
    """Score every reference of a folder, and write `metrics.json` and `cases.csv`.

    Args:
        predictions_dir: Flat folder of predicted masks.
        references_dir: Flat folder of references.
        out_dir: Where the files go.
        edition: How masks are called and what labels mean, or its year.
        mode: Which definitions hold.
        workers: How many processes share the cases, so that a file that kills its reader costs its case alone;
            without, all happens in this process.
        on_case: Told how many cases of how many are done.

    Returns:
        The scores. A prediction that cannot be used costs its own case and is named in `Scores.problems`.

    Raises:
        InputError: The folders do not belong together, a reference cannot be used or the disk refuses.
        ValueError: An unknown mode or year.
    """
    if not isinstance(edition, Edition):
        edition = get_edition(edition)
    check_mode(mode)

    joined = join_cases(predictions_dir, references_dir, edition)
    extra = [printable(Path(path.name)) for path in joined.extra]
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

    summary = summarise(rows)
    return Scores(rows, summary, mode, edition.year, problems, extra or [], notes, edition.label_values())


def score_pairs(
    pairs: list[Pair],
    edition: Edition,
    mode: Mode,
    workers: int | None = None,
    on_case: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CaseScores]:
    """Score pairs, each by itself.

    Args:
        pairs: The cases.
        edition: What their labels mean.
        mode: Which definitions hold.
        workers: How many processes share the cases; without, all happens in this process.
        on_case: Told how many cases of how many are done.

    Returns:
        The scores of each case, in no order.

    Raises:
        InputError: A reference cannot be used.
    """
    # Without a closure, which other processes could not be given.
    score = partial(_score_pair, edition=edition, mode=mode)

    results: dict[str, CaseScores] = {}
    for pair, found in each_in_a_process(score, pairs, workers):
        result = found
        if result is None:
            # A process that died left no scores; without the prediction the case can still be scored.
            without = pair.without_prediction("the process that read it died")
            result = score(without)

        results[pair.case] = result
        on_case(len(results), len(pairs))
    return results


def _score_pair(pair: Pair, edition: Edition, mode: Mode) -> CaseScores:
    aligned = read_pair(pair, edition, mode)
    notes = [*pair.notes, *aligned.notes]
    notes += spacing_notes(aligned.geometry, mode)
    rows = score_case(pair.case, aligned, edition, mode)
    return CaseScores(rows, aligned.problem, notes)
