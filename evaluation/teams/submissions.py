"""What the teams handed in: zips or folders of masks, or tables of scores; one entry of a folder is one team."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.scoring.cases import masks_by_case
from vestibule.editions import Edition
from vestibule.errors import InputError
from vestibule.files import NOT_UTF8, file_sha256, is_printable, printable

ZIP, MASKS, SCORES = "zip", "masks", "scores"
"""Kinds of submissions: a zip of masks, a folder of masks, a table of scores."""
SCORE_TABLE = "cases.csv"
"""By this file a folder is told to be what `vestibule evaluate` wrote."""
OTHER_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".rar", ".7z", ".gz", ".xz")
"""Endings of archives that are not read, longest first."""
NOT_MASKS = ("__MACOSX",)
"""Folders that a Mac packs beside what was packed."""
NAMES_SHOWN = 5
DEEPEST = 4
"""How many folders may lie around the masks of a zip."""


@dataclass(frozen=True)
class Submission:
    """What one team handed in."""

    team: str
    path: Path
    kind: str
    """`ZIP`, `MASKS` or `SCORES`."""
    fault: str | None = None
    """Why it cannot be used at all, where that is known."""

    @property
    def definitions(self) -> Path | None:
        """The folder that tells by what definitions a table of scores was made; None where nothing does."""
        return self.path.parent if self.path.name == SCORE_TABLE else None

    def digest(self) -> str:
        """sha256 of all that was handed in. Raises InputError where something cannot be read."""
        return digest_of(self.definitions or self.path)


def find_submissions(folder: Path) -> tuple[list[Submission], list[str]]:
    """The submissions in a folder, by team, and the names of files that are none.

    `TEAM.zip`, `TEAM.csv`, or the folder `TEAM/` of masks, of scores, or with one zip in it. Hidden files are left out.
    Raises InputError where there is no such folder, or no submission in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with a zip, a folder or a table of scores a team")
    by_team: dict[str, list[Submission]] = {}
    others = []
    for path in _visible(folder):
        found = _submission(path)
        if found is None:
            others.append(_shown(path))
            continue
        # Some file systems take A and a for the same.
        same = by_team.setdefault(found.team.lower(), [])
        same.append(found)

    submissions = []
    for same in by_team.values():
        first, *further = same
        if further:
            names = " and ".join(_shown(item.path) for item in same)
            fault = f"{printable(folder)}: holds {names} of one team; keep one of them"
            first = replace(first, fault=fault)
        submissions.append(first)
    if not submissions:
        raise InputError(f"{folder}: no submission; expected a zip, a folder or a table of scores a team")
    return sorted(submissions, key=lambda item: item.team), others


def digest_of(path: Path) -> str:
    """Hexadecimal sha256 of a file, or of all that a folder holds, names and contents. Links count as where they lead.

    Raises InputError where something cannot be read.
    """
    try:
        if path.is_file():
            return file_sha256(path)
        digest = hashlib.sha256()
        for entry in sorted(path.rglob("*")):
            if entry.is_symlink():
                # The file itself may be a device without an end.
                content = f"-> {os.readlink(entry)}"
            elif entry.is_file():
                content = file_sha256(entry)
            else:
                continue
            line = f"{entry.relative_to(path)}\0{content}\n"
            digest.update(line.encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def mask_folder(root: Path, edition: Edition, depth: int = 0) -> Path:
    """`root`, or the only folder within it, at any depth, that holds masks.

    Raises InputError where there is no mask, or more than one folder to look into.
    """
    if masks_by_case(root, edition):
        return root
    folders = [path for path in _visible(root) if path.is_dir()]
    if len(folders) == 1 and depth < DEEPEST:
        return mask_folder(folders[0], edition, depth + 1)
    if not folders:
        expected = edition.prediction_name("CASE")
        raise InputError(f"{printable(root)}: holds no mask; expected one file a case, called {expected}")
    names = ", ".join(_shown(path) for path in folders[:NAMES_SHOWN])
    raise InputError(f"{printable(root)}: holds no mask, but the folders {names}; expected the masks in one folder")


def _visible(folder: Path) -> list[Path]:
    """What lies in a folder by name, without what is hidden or what a Mac adds."""
    found = []
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".")
        if not is_hidden and path.name not in NOT_MASKS:
            found.append(path)
    return found


def _shown(path: Path) -> str:
    """A file's own name, for messages."""
    return printable(Path(path.name))


def _submission(path: Path) -> Submission | None:
    """What an entry of the folder is; None where it is no submission."""
    name = path.name
    lowered = name.lower()
    found = None
    if path.is_dir():
        found = _in_folder(path)
    elif lowered.endswith(".zip"):
        found = Submission(path.stem, path, ZIP)
    elif lowered.endswith(".csv"):
        found = Submission(path.stem, path, SCORES)
    else:
        for ending in OTHER_ARCHIVES:
            if lowered.endswith(ending) and found is None:
                fault = f"{printable(path)}: an archive that is not read; pack the masks as .zip"
                team = name[: -len(ending)]
                found = Submission(team, path, ZIP, fault)
    if found is not None and not is_printable(path):
        shown_team = printable(Path(found.team))
        fault = f"{printable(path)}: {NOT_UTF8}"
        return replace(found, team=shown_team, fault=fault)
    return found


def _in_folder(path: Path) -> Submission:
    """The submission that a folder is: scores, masks, or the one zip that is all it holds."""
    if (path / SCORE_TABLE).is_file():
        return Submission(path.name, path / SCORE_TABLE, SCORES)
    entries = _visible(path)
    if len(entries) == 1:
        (only,) = entries
        if only.name.lower().endswith(".zip"):
            return Submission(path.name, only, ZIP)
    return Submission(path.name, path, MASKS)
