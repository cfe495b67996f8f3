"""What the folders of the challenge's downloads are called, besides what an edition calls them.

Archives were packed more than once: `training_source` of 2022 may be `TrainingSource` within `crossmoda23_training`.
A further name is a further entry of `OTHER_NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vestibule.editions import REFERENCES, Edition
from vestibule.errors import InputError

SOURCE, TARGET, VALIDATION = ROLES = ("source", "target", "validation")
"""What a folder is for: labelled T1, unlabelled T2 to train on, T2 to predict."""
TITLES = {
    SOURCE: "labelled contrast-enhanced T1 images",
    TARGET: "unlabelled T2 images",
    VALIDATION: "T2 images to predict",
}
OTHER_NAMES = {
    SOURCE: ("source_training", "training_source", "source_train", "train_source", "source"),
    TARGET: ("target_training", "training_target", "target_train", "train_target", "target"),
    VALIDATION: ("target_validation", "validation_target", "validation", "target_val", "val_target", "val"),
}
"""Names of folders by role; capitals, `_`, `-`, blanks and the challenge's name before them make no difference, so that
`TrainingSource` and `crossmoda23_validation` are known by them too."""
_CHALLENGE = re.compile(r"^crossmoda(20)?\d\d")
FOUND_SHOWN = 6


@dataclass(frozen=True)
class DataFolders:
    """Folders of a download, each as it is called within the folder of all data."""

    source: str
    target: str
    validation: str

    @classmethod
    def of_edition(cls, edition: Edition) -> DataFolders:
        """What an edition calls them."""
        return cls(edition.source_folder, edition.target_folder, edition.validation_folder)


def locate(
    data: Path, edition: Edition, named: Mapping[str, str] | None = None, roles: Sequence[str] = ROLES
) -> DataFolders:
    """Find the folders of a download.

    A folder that is named counts, else the one that is called as the edition calls it, else the only one, in `data` or
    in an archive's folder there, that has one of `OTHER_NAMES`.

    Args:
        data: Folder of all data.
        edition: Whose names come first.
        named: Folder within `data` by role, where somebody has said so.
        roles: What is looked for; other roles keep the edition's names.

    Returns:
        The folders. A role for which nothing is found keeps the edition's name, and the reader of its images says that
        it is not there.

    Raises:
        InputError: A folder that is named is not there, two names lead to the same folder, or several folders have
            names of one role.
    """
    named = dict(named or {})
    own = {
        SOURCE: edition.source_folder,
        TARGET: edition.target_folder,
        VALIDATION: edition.validation_folder,
    }
    found = dict(own)
    for role in roles:
        if role in named:
            found[role] = _named(data, role, named[role])
        else:
            found[role] = _found(data, role, own[role])
    _check_apart(data, {role: found[role] for role in roles})
    return DataFolders(**found)


def missing_folder(data: Path, folder: str, role: str) -> str:
    """What to say of a folder of a role that is not there: what there is, and what to do."""
    names = [path.name for path in _folders_in(data)]
    shown = ", ".join(names[:FOUND_SHOWN]) or "no folder"
    others = ", ".join(OTHER_NAMES[role])
    return (
        f"{data / folder}: no such folder, nor one called {others} or alike; {data.name} holds {shown}; name the one "
        f"with the {TITLES[role]} by folders.{role} in the configuration or --folder {role}=NAME"
    )


def references_of(data: Path, edition: Edition, folder: str, role: str) -> Path:
    """Folder of the labels of the T2 images in `folder`: called as it is, or as the edition calls one of its role."""
    beside = edition.references_of(data, folder)
    if beside.is_dir():
        return beside
    own = {TARGET: edition.target_folder, VALIDATION: edition.validation_folder}
    return edition.references_of(data, own[role])


def _named(data: Path, role: str, name: str) -> str:
    if not (data / name).is_dir():
        raise InputError(f"{data / name}: no such folder, named for {role}, the {TITLES[role]}")
    return name


def _found(data: Path, role: str, own: str) -> str:
    """The folder of a role as it is called within `data`; the edition's name where there is none."""
    if (data / own).is_dir():
        return own
    known = {_plain(name) for name in OTHER_NAMES[role]}
    found = []
    for path in _candidates(data):
        if _plain(path.name) in known:
            found.append(path.relative_to(data).as_posix())
    if len(found) > 1:
        raise InputError(
            f"{data}: {' and '.join(found)} may both hold the {TITLES[role]}; name one by folders.{role} in the "
            f"configuration or --folder {role}=NAME"
        )
    return found[0] if found else own


def _candidates(data: Path) -> list[Path]:
    """Folders in `data`, and in those of them that have the challenge's name: what an archive unpacks to."""
    found = []
    for path in _folders_in(data):
        found.append(path)
        if _CHALLENGE.match(path.name.lower()):
            found += _folders_in(path)
    return found


def _folders_in(folder: Path) -> list[Path]:
    """Folders that may hold images; the labels of generated data have folders of the same names."""
    if not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".")
        if path.is_dir() and not is_hidden and path.name != REFERENCES:
            found.append(path)
    return found


def _plain(name: str) -> str:
    """A folder's name without capitals, separators and the challenge's name."""
    letters = re.sub(r"[_\-. ]", "", name.lower())
    return _CHALLENGE.sub("", letters)


def _check_apart(data: Path, found: dict[str, str]) -> None:
    """Refuse one folder in two roles."""
    roles: dict[Path, str] = {}
    for role, name in found.items():
        place = (data / name).resolve()
        if place in roles:
            raise InputError(f"{data / name}: named for {roles[place]} and for {role}; each has a folder of its own")
        roles[place] = role
