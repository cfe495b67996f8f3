"""Predictions that are no files of their own but lead to the references, and would score 1."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from evaluation.scoring.pairs import Pair
from vestibule.files import file_sha256, printable


@dataclass(frozen=True)
class ReferenceFiles:
    """What the files of a folder of references are, by whatever name one gets to them."""

    folder: Path
    """With every link on the way to it followed."""
    names: dict[tuple[int, int], str]
    """Name of each file by its device and inode, which hard links, links and mounts of a file share."""

    @classmethod
    def of(cls, references_dir: Path) -> ReferenceFiles:
        """The files of a flat folder of references."""
        names = {}
        for path in sorted(Path(references_dir).iterdir()):
            identity = _identity(path)
            if identity is not None:
                names[identity] = path.name
        real_folder = os.path.realpath(references_dir)
        return cls(Path(real_folder), names)

    def refuse_link(self, pair: Pair) -> Pair:
        """`pair` without a prediction that leads to a reference; a reference that is named as the prediction counts."""
        path = pair.prediction_path
        if path is None:
            return pair
        # Whoever scores the references against themselves names their folder twice, and hides nothing.
        if os.path.abspath(path) == os.path.abspath(pair.reference_path):
            return pair

        target = Path(os.path.realpath(path))
        if target.is_relative_to(self.folder):
            return pair.without_prediction("a link into the references")
        identity = _identity(path)
        if identity in self.names:
            return pair.without_prediction(f"the same file as the reference {self.names[identity]}, by another name")
        notes = _origin_notes(path, target, pair.reference_path)
        return replace(pair, notes=(*pair.notes, *notes))


def refuse_link_out(pair: Pair, folder: Path) -> Pair:
    """`pair` without a prediction that is a link out of its submission, to another team's mask for instance."""
    path = pair.prediction_path
    if path is None:
        return pair
    target = Path(os.path.realpath(path))
    if target.is_relative_to(os.path.realpath(folder)):
        return pair
    return pair.without_prediction(f"a link out of the submission, to {printable(target)}")


def _origin_notes(path: Path, target: Path, reference: Path) -> list[str]:
    """What makes a prediction doubtful that may be all right: it may be another team's, or a copy of the reference."""
    notes = []
    real_folder = Path(os.path.realpath(path.parent))
    if path.is_symlink() and target.parent != real_folder:
        notes.append(f"is a link out of its folder, to {printable(target)}")
    if _is_copy(path, reference):
        notes.append("is the reference byte for byte")
    return notes


def _is_copy(path: Path, reference: Path) -> bool:
    """Whether two files hold the same; one that cannot be read is told of when it is scored."""
    try:
        if not path.is_file() or path.stat().st_size != reference.stat().st_size:
            return False
        return file_sha256(path) == file_sha256(reference)
    except OSError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of a file, links followed; None for what is no file or where the system has no inodes."""
    if not path.is_file():
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    if found.st_ino == 0:
        return None
    return found.st_dev, found.st_ino
