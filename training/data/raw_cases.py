"""The training cases of a run as they were downloaded, or as its phantoms will lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import RunConfig
from training.phantom.config import PhantomConfig
from training.phantom.population import case_paths, plan_cases
from training.run_folder import DATA
from training.stage_table import PHANTOM
from vestibule.data_folders import SOURCE, TARGET, DataFolders, locate, missing_folder, references_of
from vestibule.editions import Edition, get_edition, target_case
from vestibule.errors import InputError
from vestibule.files import NOT_UTF8, is_printable, printable, read_json

NAMED_AT_MOST = 8
"""Faulty files that one error names; the rest are counted."""


@dataclass(frozen=True)
class RawCase:
    """Files of one case."""

    name: str
    domain: str
    """`source` (contrast-enhanced T1) or `target` (T2)."""
    image: Path
    label: Path | None


@dataclass(frozen=True)
class KnownCases:
    """What is known of a run's cases before its first stage."""

    run_dir: Path
    cases: tuple[RawCase, ...]
    """All training cases; where the run makes them itself, their files need not be there yet."""

    def of(self, domain: str) -> list[RawCase]:
        """Cases of a domain, `source` or `target`, in the order of their names."""
        return [case for case in self.cases if case.domain == domain]


def known_cases(config: RunConfig, run_dir: Path) -> KnownCases:
    """The cases of a run: found in its folder of data, or told by the plan of its phantoms.

    Raises InputError as `find_cases` and `data_dir` do.
    """
    edition = get_edition(config.edition)
    folder = data_dir(config, run_dir)
    if not config.phantom:
        found = find_cases(folder, edition, named_folders(run_dir))
        return KnownCases(run_dir, tuple(found))

    planned = []
    for phantom in plan_cases(population_of(config)):
        # The third domain is validation, which no stage sees.
        if phantom.domain in ("source", "target"):
            image, label = case_paths(phantom, edition, folder)
            planned.append(RawCase(phantom.name, phantom.domain, image, label))
    return KnownCases(run_dir, tuple(planned))


def population_of(config: RunConfig) -> PhantomConfig:
    """The population that a run makes, by the edition and the seed of the run."""
    if config.phantom is None:
        raise ValueError(f"{config.name}: makes no phantoms")
    return replace(config.phantom, edition=config.edition, seed=config.seed)


def data_dir(config: RunConfig, run_dir: Path) -> Path:
    """Folder of the training data: the run's own phantoms, or what `data.json` of the run points to.

    Raises InputError where the run has been told of no data.
    """
    if config.phantom:
        return PHANTOM.folder(run_dir) / "data"

    record = read_json(run_dir / DATA)
    if not record or "data" not in record:
        raise InputError(f"{run_dir}: the run has no data yet; pass --data FOLDER with the challenge's folders")
    return Path(record["data"])


def named_folders(run_dir: Path) -> dict[str, str]:
    """Folders of the data by role, as far as somebody has named them to the run."""
    record = read_json(run_dir / DATA) or {}
    return record.get("folders", {})


def find_cases(data: Path, edition: Edition, named: Mapping[str, str] | None = None) -> list[RawCase]:
    """The labelled source and the target training cases below `data`, sources first, each in the order of its name.

    Args:
        data: Folder of all data.
        edition: How its folders and files are called.
        named: Folders by role that are called otherwise, see `vestibule.data_folders`.

    Returns:
        The cases.

    Raises:
        InputError: A folder is missing, empty or not told apart from another, or a source image has no label.
    """
    folders = locate(data, edition, named, (SOURCE, TARGET))
    return _sources(data, folders, edition) + _targets(data, folders, edition)


def _sources(data: Path, folders: DataFolders, edition: Edition) -> list[RawCase]:
    """The labelled T1 cases. Raises InputError where there is none, or one lacks its label."""
    folder = data / folders.source
    # What all file names end in, without a case's name before it.
    suffix = edition.source_name("")
    cases = []
    lacking = []
    for image in _images(data, folders.source, SOURCE):
        if not image.name.endswith(suffix):
            continue
        name = image.name.removesuffix(suffix)
        label = folder / edition.label_name(name)
        if not label.is_file():
            lacking.append(f"{image}: its label {label.name} is missing")
        cases.append(RawCase(name, "source", image, label))
    if lacking:
        raise InputError(some_of(lacking))
    _require_any(cases, folder, edition.source_suffix, edition)
    return cases


def _targets(data: Path, folders: DataFolders, edition: Edition) -> list[RawCase]:
    """The T2 cases, those that have a label with it. Raises InputError where there is none."""
    references = references_of(data, edition, folders.target, TARGET)
    cases = []
    for image in _images(data, folders.target, TARGET):
        name = target_case(image)
        if not name:
            continue
        label = references / edition.label_name(name)
        cases.append(RawCase(name, "target", image, label if label.is_file() else None))
    _require_any(cases, data / folders.target, "T2", edition)
    return cases


def _require_any(cases: list[RawCase], folder: Path, kind: str, edition: Edition) -> None:
    if not cases:
        raise InputError(f"{folder}: holds no {kind} image; expected the layout of crossMoDA {edition.year}")


def some_of(faults: list[str]) -> str:
    """The first `NAMED_AT_MOST` of `faults` in one line, and how many more there are."""
    named = "; ".join(faults[:NAMED_AT_MOST])
    more = len(faults) - NAMED_AT_MOST
    return f"{named}; and {more} more" if more > 0 else named


def _images(data: Path, name: str, role: str) -> list[Path]:
    folder = data / name
    if not folder.is_dir():
        raise InputError(missing_folder(data, name, role))

    found = []
    for path in sorted(folder.iterdir()):
        # A Mac leaves a hidden file of its own beside each image that it copies.
        is_hidden = path.name.startswith(".")
        if path.name.endswith((".nii.gz", ".nii")) and not is_hidden:
            if not is_printable(path):
                raise InputError(f"{printable(path)}: {NOT_UTF8}")
            found.append(path)
    return found
