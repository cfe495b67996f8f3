"""Masks as a BIDS derivative: a data set of discrete segmentations, each beside the names of its labels.

    bids/dataset_description.json
    bids/README
    bids/sub-01/ses-20200101/anat/sub-01_ses-20200101_desc-vestibule_dseg.nii.gz, .json and .tsv

Source: the Brain Imaging Data Structure 1.10, "Imaging derivatives: segmentations".
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestibule import __version__
from vestibule.dates import patient_and_day
from vestibule.errors import InputError
from vestibule.files import atomic, write_json, write_text
from vestibule.inputs import Case

FOLDER = "bids"
"""In the folder of the masks."""
VERSION = "1.10.0"
"""Of the specification."""
NOTICE = "Segmented by a program. For research only, not for clinical use."
README = f"""Masks of vestibular schwannoma and cochlea on T2 images, made by vestibule {__version__}.

{NOTICE}

Each mask lies on the grid of the image that SpatialReference in its JSON file names. The TSV file beside it tells what
its values mean. Subjects are called by the letters and digits of their cases' names, and sessions by dates in them.
"""

_ENTITIES = re.compile(
    r"sub-(?P<subject>[A-Za-z0-9]+)(_ses-(?P<session>[A-Za-z0-9]+))?"
    r"(?P<rest>(_acq-[A-Za-z0-9]+)?(_ce-[A-Za-z0-9]+)?(_rec-[A-Za-z0-9]+)?(_run-[0-9]+)?)"
)


@dataclass(frozen=True)
class BidsName:
    """What the files of a case are called."""

    subject: str
    session: str | None
    rest: str = ""
    """Further entities of a case that was called as BIDS has it, `_run-1`."""

    @property
    def folder(self) -> Path:
        """Where the files lie in the data set."""
        sessions = [f"ses-{self.session}"] if self.session else []
        return Path(f"sub-{self.subject}", *sessions, "anat")

    @property
    def stem(self) -> str:
        """The name of the files before their endings."""
        session = f"_ses-{self.session}" if self.session else ""
        return f"sub-{self.subject}{session}{self.rest}_desc-vestibule_dseg"


def name_of(case: str) -> BidsName:
    """What a case is called: as it is where it has BIDS' entities, else by its letters and digits and its date.

    Raises InputError where no letter and no digit is in its name.
    """
    match = _ENTITIES.fullmatch(case)
    if match:
        return BidsName(match["subject"], match["session"], match["rest"])
    dated = patient_and_day(case)
    patient, session = case, None
    if dated is not None:
        patient, day = dated
        session = f"{day:%Y%m%d}"
    # BIDS allows letters and digits alone.
    subject = re.sub(r"[^A-Za-z0-9]", "", patient)
    if not subject:
        raise InputError(f"--write {FOLDER}: case {case!r} has no letter and no digit in its name, which BIDS wants")
    return BidsName(subject, session)


def names_of(cases: Sequence[str]) -> dict[str, BidsName]:
    """What each case is called. Raises InputError where two would be called alike."""
    names: dict[str, BidsName] = {}
    taken: dict[BidsName, str] = {}
    for case in cases:
        name = name_of(case)
        if name in taken:
            raise InputError(
                f"--write {FOLDER}: {taken[name]} and {case} would both be {name.stem}; rename one, as BIDS allows "
                "letters and digits alone"
            )
        taken[name] = case
        names[case] = name
    return names


def write_dataset(folder: Path) -> None:
    """Write what tells that a folder is a BIDS derivative."""
    description = {
        "Name": "Masks of vestibular schwannoma and cochlea",
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "vestibule", "Version": __version__, "Description": NOTICE}],
    }
    write_json(folder / "dataset_description.json", description)
    write_text(folder / "README", README)


def write_mask(folder: Path, case: Case, labels: Mapping[int, tuple[str, str]]) -> Path:
    """Write a mask, and beside it what it is and what its labels mean.

    Args:
        folder: The data set.
        case: With its mask written, as .nii.gz; it is copied.
        labels: Value -> what it is called and its colour, as `#d62728`.

    Returns:
        The copy.
    """
    name = name_of(case.name)
    place = folder / name.folder
    path = place / f"{name.stem}.nii.gz"
    with atomic(path) as partial:
        shutil.copyfile(case.mask_path, partial)
    description = {"Description": NOTICE, "Manual": False, "SpatialReference": case.image_path.name}
    write_json(place / f"{name.stem}.json", description)
    rows = ["index\tname\tcolor"]
    rows += [f"{value}\t{title}\t{colour}" for value, (title, colour) in labels.items()]
    write_text(place / f"{name.stem}.tsv", "\n".join(rows) + "\n")
    return path
