"""Unpacking a zip from outside: nothing lands outside its folder, nothing but plain files, nothing without bounds."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from vestibule.errors import InputError

MAX_MEMBERS = 5_000
"""A submission has one file a case, and the largest edition's test set 365 cases."""
MAX_TOTAL_BYTES = 8 * 1024**3
"""All files of a zip, unpacked."""
MAX_FILE_BYTES = 1024**3
"""One file, unpacked: sixteen times a full-size mask in 16 bits."""
_READ_BYTES = 1 << 20


def unpack(path: Path, folder: Path) -> list[Path]:
    """Unpack the zip at `path` into the empty `folder` and return its files.

    Raises InputError, naming the member and the cause, for what is no zip, damaged, encrypted, or holds a path that
    leads out of the folder, a link, a device, a name twice, or more than the bounds above.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = []
            for member in archive.infolist():
                # A member without a name is refused below; Python asks for its last letter.
                if not member.filename or not member.is_dir():
                    members.append(member)
            # All entries are looked at before anything is written.
            _check_members(path, members)
            left = MAX_TOTAL_BYTES
            for member in members:
                left -= _write(path, archive, member, folder, left)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise InputError(f"{path}: not a whole zip file ({error}); pack the masks again") from error
    return [folder / member.filename for member in members]


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse too many members, and any that is no plain file within the folder."""
    if len(members) > MAX_MEMBERS:
        raise InputError(f"{path}: {len(members)} files, more than the {MAX_MEMBERS} that are unpacked")
    seen = set()
    for member in members:
        _check_member(path, member)
        # Some file systems take A and a for the same.
        lowered = member.filename.lower()
        if lowered in seen:
            raise InputError(f"{path}: holds {member.filename} twice; keep one of them")
        seen.add(lowered)


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse a member that leads out of the folder, is no plain file, is encrypted or says that it is huge."""
    name = member.filename
    if _leads_out(name):
        raise InputError(f"{path}: holds the path {name!r}, which leads out of the folder; refused")
    # The upper half of the attributes is Unix's mode; 0 where another system packed.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if stat.S_ISLNK(kind):
        raise InputError(f"{path}: {name} is a link; refused")
    if kind not in (0, stat.S_IFREG):
        raise InputError(f"{path}: {name} is no plain file; refused")
    if member.flag_bits & 1:
        raise InputError(f"{path}: {name} is encrypted; pack the masks without a password")
    if member.file_size > MAX_FILE_BYTES:
        size_gb = member.file_size / 1e9
        raise InputError(f"{path}: {name} unpacks to {size_gb:.1f} GB; refused")


def _leads_out(name: str) -> bool:
    """Whether a member's name could lead out of the folder, on any system."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        return True
    # Windows takes a backslash for a separator, and what precedes a colon for a drive.
    if "\\" in name or ":" in parts[0]:
        return True
    return "\0" in name


def _write(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, budget: int) -> int:
    """Unpack one member and return its bytes; what it really holds counts, whatever its entry says."""
    target = folder / member.filename
    most = min(budget, MAX_FILE_BYTES)
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("xb") as stored:
            while piece := source.read(_READ_BYTES):
                size += len(piece)
                if size > most:
                    raise InputError(f"{path}: unpacks to more than {most} bytes; refused")
                stored.write(piece)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"{path}: {member.filename} cannot be unpacked ({error.strerror})") from error
    return size
