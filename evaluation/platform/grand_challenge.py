"""Evaluation of a submission on grand-challenge.org, on evalutils' `ClassificationEvaluation`.

    MaskEvaluation(edition=get_edition(2022)).evaluate()     reads /input and /opt/ml/input/data/ground_truth, and
                                                             writes /output/metrics.json

What evalutils 0.4.2 does otherwise is replaced: it pairs files by the first integer in their names, which is the year
in every crossMoDA name; refuses two identical masks, which two empty ones are; reads every mask twice; fails the
submission for a missing one; writes NaN for a single case; and does not create its output folder.
"""

from __future__ import annotations

from pathlib import Path

from evalutils import ClassificationEvaluation
from evalutils.exceptions import FileLoaderError, ValidationError
from evalutils.io import FileLoader
from evalutils.validators import DataFrameValidator
from pandas import DataFrame

from evaluation.metrics import Mode
from evaluation.platform.jobs import INPUT, LISTING, NO_JOB, OUTPUT, REFERENCES, read_jobs
from evaluation.reporting.outputs import describe, flat_scores, platform_metrics
from evaluation.scoring.cases import natural_order
from evaluation.scoring.folder import score_pairs, scores_of
from evaluation.scoring.links import ReferenceFiles
from evaluation.scoring.pairs import Pair
from evaluation.scoring.scores import Scores
from vestibule.editions import Edition, label_case
from vestibule.errors import InputError
from vestibule.files import write_json


class MaskLoader(FileLoader):
    """Finds out which case a mask belongs to; its voxels are read when it is scored, once."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition

    def load(self, *, fname: Path) -> list[dict]:
        """[{"case", "path"}] of one file. Raises FileLoaderError for what is not called like a mask."""
        case = None
        is_hidden = fname.name.startswith(".")
        if not is_hidden and not fname.is_dir():
            case = label_case(fname, self.edition)
        if not case:
            raise FileLoaderError(f"{fname}: not called like a mask")
        return [{"case": case, "path": fname}]


class OneMaskACase(DataFrameValidator):
    """Each case has one mask; the masks may be equal."""

    def validate(self, *, df: DataFrame) -> None:
        """Raises ValidationError, naming the case, where it has two."""
        is_doubled = df["case"].duplicated()
        doubled = df.loc[is_doubled, "case"]
        if len(doubled):
            first = doubled.iloc[0]
            raise ValidationError(f"case {first} has more than one mask; keep one")


class MaskEvaluation(ClassificationEvaluation):
    """Score a submission, on the platform or in a flat folder of masks named by case.

    A missing or unusable mask is scored by the rules of `mode` and named in `metrics.json`, it does not fail the
    submission.

    Args:
        edition: What files are called and what labels mean.
        mode: Which definitions of the distances hold.
        ground_truth_path: Flat folder of references.
        predictions_path: The platform's jobs with their list, or a flat folder of masks.
        output_file: Where `metrics.json` goes.
        slug: Which image output of a job to score, where jobs have several.
        workers: How many processes share the cases; without, all happens in this process.
    """

    _cases: DataFrame

    def __init__(
        self,
        *,
        edition: Edition,
        mode: Mode = "challenge",
        ground_truth_path: Path = REFERENCES,
        predictions_path: Path = INPUT,
        output_file: Path = OUTPUT / "metrics.json",
        slug: str | None = None,
        workers: int | None = None,
    ) -> None:
        super().__init__(
            ground_truth_path=Path(ground_truth_path),
            predictions_path=Path(predictions_path),
            output_file=Path(output_file),
            file_sorter_key=lambda path: natural_order(path.name),
            file_loader=MaskLoader(edition),
            validators=(OneMaskACase(),),
            join_key="case",
        )
        self.edition = edition
        self.mode = mode
        self.slug = slug
        self.workers = workers
        self.scores: Scores | None = None
        self._problems: dict[str, str] = {}
        self._extra: list[str] = []

    def load(self) -> None:
        """Find the masks of both folders. Raises InputError where one holds none."""
        self._ground_truth_cases = self._load_cases(folder=self._ground_truth_path)
        listing = self._predictions_path / LISTING
        if listing.is_file():
            submission = read_jobs(listing, self.slug)
            masks = list(submission.masks.items())
            self._problems = dict(submission.problems)
            self._predictions_cases = DataFrame(masks, columns=["case", "path"])
            return

        # Two masks of a case cost the case; the validator would fail the submission for them.
        found = self._load_cases(folder=self._predictions_path)
        is_doubled = found["case"].duplicated(keep=False)
        doubled = found[is_doubled]["case"]
        self._problems = dict.fromkeys(doubled, "more than one mask; keep one")
        self._predictions_cases = found[~is_doubled]

    def _load_cases(self, *, folder: Path) -> DataFrame:
        # evalutils would search all folders below, and say of a broken file nothing but a line in a log.
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder")
        found = []
        for path in sorted(folder.iterdir(), key=self._file_sorter_key):
            try:
                found += self._file_loader.load(fname=path)
            except FileLoaderError:
                continue
        if not found:
            raise InputError(f"{folder}: no mask of edition {self.edition.year} in this folder")
        return DataFrame(found)

    def cross_validate(self) -> None:
        """Name missing and extra cases; neither fails the submission, but no case at all does (InputError)."""
        ordered = self._cases.sort_values("case", key=lambda names: names.map(natural_order))
        self._cases = ordered.reset_index(drop=True)
        is_matched = self._cases["_merge"] == "both"
        if not is_matched.any() and not self._problems:
            raise InputError(f"{self._predictions_path}: no mask belongs to a case of {self._ground_truth_path}")

        for _, row in self._cases.iterrows():
            case = row["case"]
            if row["_merge"] == "left_only":
                self._problems.setdefault(case, NO_JOB)
            elif row["_merge"] == "right_only":
                self._extra.append(case)

        # What has no reference is named and not scored.
        with_reference = self._cases["_merge"] != "right_only"
        self._cases = self._cases[with_reference].reset_index(drop=True)

    def score(self) -> None:
        """Score every case, and aggregate."""
        reference_files = ReferenceFiles.of(self._ground_truth_path)
        pairs = []
        for _, case in self._cases.iterrows():
            pair = self._pair(case, reference_files)
            pairs.append(pair)
        self.scores = scores_of(pairs, self.edition, self.mode, self._extra, self.workers)

        # evalutils' own place for what it writes.
        by_case = flat_scores(self.scores.rows)
        self._case_results = DataFrame(by_case)
        self._aggregate_results = self.score_aggregates()

    def score_case(self, *, idx: int, case: DataFrame) -> dict:
        """Every score of one case, named by structure and metric."""
        reference_files = ReferenceFiles.of(self._ground_truth_path)
        pair = self._pair(case, reference_files)
        results = score_pairs([pair], self.edition, self.mode)
        rows = results[pair.case].rows
        (scores,) = flat_scores(rows)
        return scores

    def score_aggregates(self) -> dict:
        """Count, mean, deviation, quartiles, least and largest of each score, without NaN."""
        columns = self._case_results.drop(columns="case")
        aggregates = {}
        for name in columns:
            known = columns[name].dropna()
            aggregates[name] = describe(known.to_numpy())
        return aggregates

    @property
    def _metrics(self) -> dict:
        if self.scores is None:
            raise RuntimeError("there are no metrics before score()")
        return platform_metrics(self.scores) | {"aggregates": self._aggregate_results}

    def save(self) -> None:
        """Write `metrics.json` whole or not at all, and its folder where that is missing."""
        write_json(Path(self._output_file), self._metrics)

    def _pair(self, case: DataFrame, reference_files: ReferenceFiles) -> Pair:
        name = case["case"]
        problem = self._problems.get(name)
        path = None if problem else case["path_prediction"]
        pair = Pair(name, case["path_ground_truth"], path, problem)
        # A link to its own reference would score 1.
        return reference_files.refuse_link(pair)
