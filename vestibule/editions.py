"""The crossMoDA editions: all that is known of one. Nothing else in the project spells a file name or a label value.

A further edition is a further entry of `EDITIONS`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".mha")
"""Image file endings that are read, longest first."""

REFERENCES = "references"
"""Folder of the T2 labels of generated data, which the challenge hides; it has a folder for each folder of images."""


@dataclass(frozen=True)
class Anatomy:
    """What holds of a structure in nearly every patient, whatever the edition's labels."""

    title: str
    """How tables and pictures call it."""
    components: int | None = None
    """Connected parts; None where nobody has counted."""
    volume_mm3: tuple[float, float] | None = None
    """Smallest and largest volume; None where nobody has measured."""


ANATOMY = {
    # Of the 105 training labels of 2021, all have one tumour and 102 two cochleae; the volumes are their extremes.
    "vs": Anatomy("VS", 1, (44.0, 9801.0)),
    "cochlea": Anatomy("cochlea", 2, (72.0, 224.0)),
}
TUMOUR = "vs"
"""The structure that stages copy, harmonise and report on."""
COCHLEA = "cochlea"
"""The other structure whose intensity stages vary."""
NO_TUMOUR, SMALL, MEDIUM, LARGE = SIZE_CLASSES = ("no tumour", "small", "medium", "large")
"""Classes of tumour volume, in this order."""


@dataclass(frozen=True)
class Edition:
    """One year of the challenge: how its files are called and what its labels mean."""

    year: int
    source_folder: str
    """Folder of labelled contrast-enhanced T1 cases, as the download unpacks."""
    target_folder: str
    """Folder of unlabelled T2 cases for training."""
    validation_folder: str
    """Folder of unlabelled T2 cases to predict."""
    source_suffix: str
    """Ending of a contrast-enhanced T1 file's stem, `ceT1`."""
    target_suffix: str
    """Ending of a T2 file's stem."""
    label_suffix: str = "Label"
    """Ending of a training label's stem."""
    prediction_suffix: str = "Label"
    """Ending of a submitted mask's stem; empty where the mask is called as the case."""
    structures: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"vs": (1,), "cochlea": (2,)})
    """Scored structures and the label values that make them up."""
    parts: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Further scored structures that a structure is made of, in two parts that meet; empty where there are none."""
    training_cases: tuple[int, int] = (105, 105)
    """Labelled T1 and unlabelled T2 training cases that the challenge offers."""
    case_pattern: str = r"crossmoda(2021_ldn)?_\d+"
    """What the challenge's own cases are called."""
    case_format: str = "crossmoda{year}_{site}_{number}"
    """Case names of this edition's phantoms; real case names are taken as they come."""
    sites: tuple[str, ...] = ("ldn",)
    """Sites whose images it has: London (ldn), Tilburg (etz), the UK's multi-centre collection (ukm)."""
    anatomy: dict[str, Anatomy] = field(default_factory=lambda: ANATOMY)
    """What is known of structures; ask `anatomy_of`, which has an answer for all."""
    size_limits_mm3: tuple[float, float] = (288.0, 2340.0)
    """Tumours below the first are small, above the second large (Sallé et al., crossMoDA 2022)."""

    @property
    def labels(self) -> tuple[int, ...]:
        """Every value that a mask of this edition may hold, background included."""
        found = {0}
        for values in self.structures.values():
            found.update(values)
        return tuple(sorted(found))

    @property
    def label_endings(self) -> tuple[str, ...]:
        """Endings of the stems of masks, of references and predicted ones."""
        endings = dict.fromkeys((self.label_suffix, self.prediction_suffix))
        return tuple(ending for ending in endings if ending)

    def values_of(self, structure: str) -> tuple[int, ...]:
        """Label values that make up a structure or a part of one. Raises ValueError for one that it does not score."""
        # A part is no structure of its own: label values of both overlap.
        for known in (self.structures, self.parts):
            if structure in known:
                return known[structure]
        names = ", ".join([*self.structures, *self.parts])
        raise ValueError(f"edition {self.year} has the structures {names}, got {structure!r}")

    def mask_of(self, labels: np.ndarray, structure: str) -> np.ndarray:
        """Voxels of a structure, or of a part of one, in `labels`: bool of the same shape.

        Raises ValueError for a structure that the edition does not score.
        """
        # Where there are labels, NumPy is there; names of files ask for none.
        import numpy as np

        return np.isin(labels, self.values_of(structure))

    def foreign_labels(self, labels: np.ndarray) -> list[float]:
        """Values in `labels` that no mask of this edition may hold, ascending; usually none."""
        import numpy as np

        present = set(np.unique(labels).tolist())
        return sorted(present - set(self.labels))

    def anatomy_of(self, structure: str) -> Anatomy:
        """What is known of a structure: at least what it is called."""
        return self.anatomy.get(structure, Anatomy(structure))

    def size_class(self, volume_mm3: float) -> str:
        """Class of a tumour of `volume_mm3` among `SIZE_CLASSES`."""
        small_below, large_above = self.size_limits_mm3
        if volume_mm3 <= 0:
            return NO_TUMOUR
        if volume_mm3 < small_below:
            return SMALL
        if volume_mm3 > large_above:
            return LARGE
        return MEDIUM

    def site_of(self, case: str) -> str | None:
        """The site in a case's name, or the edition's only one where it is one of its own; None where neither tells."""
        match = _SITE.match(case)
        if match:
            return match.group(1)
        if len(self.sites) == 1 and self.offers(case):
            return self.sites[0]
        return None

    def references_of(self, data: Path, folder: str) -> Path:
        """Folder of the labels of the T2 images in `data / folder`; generated data have it, the challenge hides it."""
        return Path(data) / REFERENCES / folder

    def source_name(self, case: str) -> str:
        """File name of the contrast-enhanced T1 image of `case`."""
        return f"{case}_{self.source_suffix}.nii.gz"

    def target_name(self, case: str) -> str:
        """File name of the T2 image of `case`."""
        return f"{case}_{self.target_suffix}.nii.gz"

    def label_name(self, case: str) -> str:
        """File name of the training label of `case`."""
        return f"{case}_{self.label_suffix}.nii.gz"

    def prediction_name(self, case: str) -> str:
        """File name under which the organisers expect the mask of `case`."""
        if not self.prediction_suffix:
            return f"{case}.nii.gz"
        return f"{case}_{self.prediction_suffix}.nii.gz"

    def with_intrameatal(self, label: int) -> Edition:
        """This edition with label 1 or 2 as the tumour's intra-meatal part; itself where it tells no parts apart.

        Sources disagree on which part is which.
        """
        if not self.parts:
            return self
        other = 3 - label
        return replace(self, parts={"vs_extrameatal": (other,), "vs_intrameatal": (label,)})

    def label_values(self) -> dict[str, list[int]]:
        """The label values that make up each structure, and each part of one."""
        return {name: list(self.values_of(name)) for name in (*self.structures, *self.parts)}

    def offers(self, case: str) -> bool:
        """Whether `case` is called as the challenge's own cases are."""
        return re.fullmatch(self.case_pattern, case) is not None

    def knows(self, case: str) -> bool:
        """Whether `case` is called as the challenge's own cases are, or as this edition's phantoms."""
        sites = "|".join(self.sites)
        generated = self.case_format.format(year=self.year, site=f"({sites})", number=r"\d+")
        return self.offers(case) or re.fullmatch(generated, case) is not None

    def case_name(self, site: str, number: int) -> str:
        """Name of a generated case."""
        return self.case_format.format(year=self.year, site=site, number=number)


EDITIONS = {
    2021: Edition(
        year=2021,
        source_folder="source_training",
        target_folder="target_training",
        validation_folder="target_validation",
        source_suffix="ceT1",
        target_suffix="hrT2",
    ),
    2022: Edition(
        year=2022,
        source_folder="training_source",
        target_folder="training_target",
        validation_folder="validation",
        source_suffix="ceT1",
        target_suffix="hrT2",
        training_cases=(210, 210),
        case_pattern=r"crossmoda(2021_ldn|2022_etz)_\d+",
        sites=("ldn", "etz"),
    ),
    2023: Edition(
        year=2023,
        source_folder="training_source",
        target_folder="training_target",
        validation_folder="validation",
        source_suffix="ceT1",
        target_suffix="T2",
        prediction_suffix="",
        structures={"vs": (1, 2), "cochlea": (3,)},
        parts={"vs_extrameatal": (1,), "vs_intrameatal": (2,)},
        training_cases=(227, 295),
        case_pattern=r"crossmoda2023_(ldn|etz|ukm)_\d+",
        sites=("ldn", "etz", "ukm"),
    ),
}

_SITE = re.compile(r"^crossmoda\d*_([a-z]+)_")

# Other collections call their sequences otherwise; these only tell T2 from T1 and from labels by name. The sequence
# stands apart from what precedes it, or `patient1` would be a T1 image and `patient2` the T2 image of `patien`.
_T2_STEM = re.compile(r"[_\-. ](hr)?T2(w|_?TSE|_?CISS|_?FIESTA)?$", re.IGNORECASE)
_T1_STEM = re.compile(r"(^|[_\-. ])(ce)?T1(w|c|n|_?ce|_?gd)?$", re.IGNORECASE)
_LABEL_STEM = re.compile(r"(^|[_\-. ])(labels?|seg|segmentation|mask)$", re.IGNORECASE)


def get_edition(year: int) -> Edition:
    """The edition of `year`. Raises ValueError for a year that had no challenge or is not supported."""
    try:
        return EDITIONS[int(year)]
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"edition must be one of {sorted(EDITIONS)}, got {year!r}") from None


def edition_of(cases: Iterable[str]) -> Edition | None:
    """The first edition whose own cases or phantoms are called like all of `cases`; None where the names do not tell.

    London's cases of 2021 belong to 2022 too, where labels mean the same.
    """
    names = list(cases)
    if not names:
        return None
    for edition in EDITIONS.values():
        if all(edition.knows(name) for name in names):
            return edition
    return None


def image_stem(path: Path) -> str | None:
    """File name without its image ending in any case of letters; None where `path` is not called like an image."""
    # Some scanners and Windows write .NII.GZ.
    lowered = path.name.lower()
    for suffix in IMAGE_SUFFIXES:
        if lowered.endswith(suffix):
            return path.name[: -len(suffix)]
    return None


def target_case(path: Path) -> str | None:
    """Case name of a T2 file (`p01_T2W.nii.gz` -> `p01`), or None where the name does not end like a T2's."""
    stem = image_stem(path)
    if stem is None:
        return None
    return _t2_case(stem)


def case_of_image(path: Path) -> tuple[str, str | None]:
    """Case name and contrast (`T1`, `T2`; None where the name tells none) of an image file of any collection."""
    stem = image_stem(path) or path.name
    t2_case = _t2_case(stem)
    if t2_case:
        return t2_case, "T2"
    t1_case = _t1_case(stem)
    if t1_case:
        return t1_case, "T1"
    return stem, None


def _t2_case(stem: str) -> str | None:
    endings = [edition.target_suffix for edition in EDITIONS.values()]
    return _before_ending(endings, stem) or _before(_T2_STEM, stem)


def _t1_case(stem: str) -> str | None:
    endings = [edition.source_suffix for edition in EDITIONS.values()]
    return _before_ending(endings, stem) or _before(_T1_STEM, stem)


def _before_ending(endings: Iterable[str], stem: str) -> str | None:
    """What stands before one of the editions' own endings; None where that is nothing, or there is no such ending."""
    for ending in endings:
        if stem.endswith(f"_{ending}"):
            return stem.removesuffix(f"_{ending}") or None
    return None


def _before(sequence: re.Pattern, stem: str) -> str | None:
    """What stands before the sequence's name at the end of `stem`; None where that is nothing, or there is no name."""
    match = sequence.search(stem)
    if match is None or match.start() == 0:
        return None
    return stem[: match.start()]


def is_named_as_other(path: Path) -> bool:
    """Whether the name says that this is a T1 image or a label, and so nothing to predict."""
    stem = image_stem(path) or ""
    endings = [ending for edition in EDITIONS.values() for ending in edition.label_endings]
    is_label = _before_ending(endings, stem) or _LABEL_STEM.search(stem)
    return bool(_t1_case(stem) or _T1_STEM.search(stem) or is_label)


def label_case(path: Path, edition: Edition | None = None) -> str | None:
    """Case name of a reference or predicted mask: `{case}_Label`, a prediction's ending or `{case}`, as the name fits.

    Without an edition, the ending may be that of any: for masks whose case names are to tell the edition.
    """
    stem = image_stem(path)
    if not stem or target_case(path) or _t1_case(stem) or _T1_STEM.search(stem):
        return None
    candidates = EDITIONS.values() if edition is None else (edition,)
    endings = [ending for candidate in candidates for ending in candidate.label_endings]
    return _before_ending(endings, stem) or stem
