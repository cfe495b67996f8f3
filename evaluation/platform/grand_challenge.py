"""Evaluation of a submission on grand-challenge.org, on evalutils' `ClassificationEvaluation`.

    MaskEvaluation(edition=get_edition(2022)).evaluate()     reads /input and /opt/ml/input/data/ground_truth, and
                                                             writes /output/metrics.json

What evalutils 0.4.2 does otherwise is replaced: it pairs files by the first integer in their names, which is the year
in every crossMoDA name; refuses two identical masks, which two empty ones are; reads every mask twice; fails the
submission for a missing one; writes NaN for a single case; and does not create its output folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from evalutils import ClassificationEvaluation
from evalutils.exceptions import FileLoaderError, ValidationError
from evalutils.io import FileLoader
from evalutils.validators import DataFrameValidator
from pandas import DataFrame

from evaluation.metrics import Mode
from evaluation.reporting.outputs import describe, flat_scores, platform_metrics, write_document
from evaluation.scoring.cases import Pair, natural_order, refuse_link
from evaluation.scoring.folder import score_pairs
from evaluation.scoring.scores import Scores, summarise
from vestibule.editions import Edition, image_stem, label_case, target_case
from vestibule.errors import InputError

GROUND_TRUTH_PATH = Path("/opt/ml/input/data/ground_truth")
INPUT_PATH = Path("/input")
OUTPUT_FILE = Path("/output/metrics.json")
LISTING = "predictions.json"


class MaskLoader(FileLoader):
    """Finds out which case a mask belongs to; its voxels are read when it is scored, once."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition

    def load(self, *, fname: Path) -> list[dict]:
        """[{"case", "path"}] of one file. Raises FileLoaderError for what is not called like a mask."""
        case = None if fname.name.startswith(".") or fname.is_dir() else label_case(fname, self.edition)
        if not case:
            raise FileLoaderError(f"{fname}: not called like a mask")
        return [{"case": case, "path": fname}]


class OneMaskACase(DataFrameValidator):
    """Each case has one mask; the masks may be equal."""

    def validate(self, *, df: DataFrame) -> None:
        """Raises ValidationError, naming the case, where it has two."""
        doubled = df.loc[df["case"].duplicated(), "case"]
        if len(doubled):
            raise ValidationError(f"case {doubled.iloc[0]} has more than one mask; keep one")


class MaskEvaluation(ClassificationEvaluation):
    """Score a submission, on the platform or in a flat folder of masks named by case.

    A missing or unusable mask is scored by the rules of `mode` and named in `metrics.json`, it does not fail the
    submission. `workers` processes share the cases.
    """

    def __init__(
        self,
        *,
        edition: Edition,
        mode: Mode = "challenge",
        ground_truth_path: Path = GROUND_TRUTH_PATH,
        predictions_path: Path = INPUT_PATH,
        output_file: Path = OUTPUT_FILE,
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
        self.edition, self.mode, self.slug, self.workers = edition, mode, slug, workers
        self.scores: Scores | None = None
        self._problems: dict[str, str] = {}
        self._extra: list[str] = []

    def load(self) -> None:
        """Find the masks of both folders. Raises InputError where one holds none."""
        self._ground_truth_cases = self._load_cases(folder=self._ground_truth_path)
        listing = self._predictions_path / LISTING
        if listing.is_file():
            found, self._problems = submitted_masks(listing, self.slug)
            self._predictions_cases = DataFrame(found, columns=["case", "path"])
        else:
            self._predictions_cases = self._load_cases(folder=self._predictions_path)
        doubled = self._predictions_cases["case"].duplicated(keep=False)
        self._problems |= dict.fromkeys(self._predictions_cases[doubled]["case"], "more than one mask; keep one")
        self._predictions_cases = self._predictions_cases[~doubled]

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
        self._cases = self._cases.sort_values("case", key=lambda names: names.map(natural_order)).reset_index(drop=True)
        if not (self._cases["_merge"] == "both").any() and not self._problems:
            raise InputError(f"{self._predictions_path}: no mask belongs to a case of {self._ground_truth_path}")
        for _, case in self._cases.iterrows():
            if case["_merge"] == "left_only":
                self._problems.setdefault(case["case"], "no prediction")
            elif case["_merge"] == "right_only":
                self._extra.append(case["case"])
        self._cases = self._cases[self._cases["_merge"] != "right_only"].reset_index(drop=True)

    def score(self) -> None:
        """Score every case, and aggregate."""
        pairs = [self._pair(case) for _, case in self._cases.iterrows()]
        results = score_pairs(pairs, self.edition, self.mode, self.workers)
        rows = [row for pair in pairs for row in results[pair.case].rows]
        problems = {case: result.problem for case, result in results.items() if result.problem}
        notes = {case: result.notes for case, result in results.items() if result.notes}
        self.scores = Scores(rows, summarise(rows), self.mode, self.edition.year, problems, self._extra, notes)
        self._case_results = DataFrame(flat_scores(rows))
        self._aggregate_results = self.score_aggregates()

    def score_case(self, *, idx: int, case: DataFrame) -> dict:
        """Every score of one case, named by structure and metric."""
        pair = self._pair(case)
        return flat_scores(score_pairs([pair], self.edition, self.mode)[pair.case].rows)[0]

    def score_aggregates(self) -> dict:
        """Count, mean, deviation, quartiles, least and largest of each score, without NaN."""
        columns = self._case_results.drop(columns="case")
        return {name: describe(columns[name].dropna().to_numpy()) for name in columns}

    @property
    def _metrics(self) -> dict:
        return platform_metrics(self.scores) | {"aggregates": self._aggregate_results}

    def save(self) -> None:
        """Write `metrics.json` whole or not at all, and its folder where that is missing."""
        write_document(Path(self._output_file), self._metrics)

    def _pair(self, case: DataFrame) -> Pair:
        problem = self._problems.get(case["case"])
        path = None if problem else case["path_prediction"]
        return refuse_link(Pair(case["case"], case["path_ground_truth"], path, problem), self._ground_truth_path)


def submitted_masks(listing: Path, slug: str | None = None) -> tuple[list[dict], dict[str, str]]:
    """Where the platform put the mask of each case: [{"case", "path"}], and {case: why there is none}.

    `listing` is the platform's predictions.json: a job a case, whose input image tells the case and whose output
    image lies in a folder of its own. With several image outputs `slug` names the one to score. Raises InputError where
    the listing is not of this form.
    """
    try:
        jobs = json.loads(listing.read_text(encoding="utf-8"))
        found, problems = [], {}
        for job in jobs:
            case, place = _case_of(job), Path(str(job["pk"]), "output", _place_of(job, slug))
            if place.is_absolute() or ".." in place.parts:
                raise ValueError(f"{place} lies outside the submission")
            try:
                found.append({"case": case, "path": _only_mask(listing.parent / place)})
            except InputError as error:
                problems[case] = str(error)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InputError(f"{listing}: not a list of jobs with pk, inputs and outputs ({cause})") from error
    return found, problems


def _case_of(job: dict) -> str:
    names = [Path(item["image"]["name"]) for item in job["inputs"] if item.get("image")]
    cases = [case for case in map(target_case, names) if case] or [image_stem(name) or name.name for name in names]
    if len(cases) != 1:
        raise ValueError(f"job {job['pk']} has the input images {[str(name) for name in names]}, expected one")
    return cases[0]


def _place_of(job: dict, slug: str | None) -> str:
    sockets = [item.get("socket") or item["interface"] for item in job["outputs"]]
    places = {socket["slug"]: str(socket.get("relative_path") or f"images/{socket['slug']}") for socket in sockets}
    images = {name: place for name, place in places.items() if place.startswith("images/") and slug in (None, name)}
    if len(images) != 1:
        raise ValueError(f"job {job['pk']} has the image outputs {sorted(images)}, expected one; name it by its slug")
    return next(iter(images.values()))


def _only_mask(folder: Path) -> Path:
    masks = sorted(path for path in folder.glob("*") if image_stem(path) and not path.name.startswith("."))
    if len(masks) != 1:
        raise InputError(f"{folder}: expected one mask, found {[path.name for path in masks]}")
    return masks[0]
