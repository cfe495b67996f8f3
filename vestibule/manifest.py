"""What the manifest of a bundle of weights must say, told before any of its files is opened."""

from __future__ import annotations

import re
from pathlib import Path

from vestibule.editions import EDITIONS
from vestibule.errors import InputError
from vestibule.text import shown

SCHEMA_VERSION = 1
"""Version of the manifest that this code writes and reads."""
MANIFEST_NAME = "manifest.json"

_KEYS = {
    "schema_version": int,
    "name": str,
    "created": str,
    "code_version": str,
    "command": str,
    "seed": int,
    "edition": int,
    "intended_use": str,
    "notice": str,
    "arms": list,
    "default_arm": str,
    "preprocessing": dict,
    "networks": dict,
    "scores": dict,
    "provenance": dict,
    "files": dict,
}
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
"""What a file of a bundle may be called: a plain name inside its folder."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_manifest(path: Path, manifest: dict) -> None:
    """Refuse a manifest of another schema, one that lacks a key or has it of another type, and odd names.

    Raises InputError, naming the key and what was expected.
    """
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version is {version!r}, this vestibule reads {SCHEMA_VERSION}")
    missing = [key for key in _KEYS if key not in manifest]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; make the bundle again")
    for key, kind in _KEYS.items():
        value = manifest[key]
        # Python takes true for the integer 1.
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InputError(f"{path}: {key} must be of type {kind.__name__}, got {value!r:.80}")
    _check_meanings(path, manifest)
    _check_texts(path, manifest)
    for name, entry in manifest["files"].items():
        _check_entry(path, name, entry)


def _check_meanings(path: Path, manifest: dict) -> None:
    """Refuse an edition that there is not, a default arm that the bundle lacks, and provenance that says too little."""
    edition = manifest["edition"]
    if edition not in EDITIONS:
        raise InputError(f"{path}: edition must be one of {sorted(EDITIONS)}, got {edition}")

    arms = manifest["arms"]
    default_arm = manifest["default_arm"]
    are_names = all(isinstance(arm, str) for arm in arms)
    if not are_names or default_arm not in arms:
        raise InputError(f"{path}: default_arm {default_arm!r} must be one of arms {arms!r:.80}")

    # What the challenge's rules turn on is never left to a default.
    for key in ("external_data", "pretrained"):
        answer = manifest["provenance"].get(key)
        if not isinstance(answer, bool):
            raise InputError(f"{path}: provenance must say {key} as true or false")


def _check_texts(path: Path, manifest: dict) -> None:
    """Refuse characters that would steer the terminal on which a manifest is shown."""
    left: list = [manifest]
    # A list in place of recursion, which a manifest could nest too deeply for.
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value.keys())
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, str) and shown(value) != value:
            raise InputError(f"{path}: holds control characters ({value!r:.80})")


def _check_entry(path: Path, name: str, entry: object) -> None:
    """Refuse a file of the manifest that might lie outside the bundle, or whose content could not be verified."""
    if not FILE_NAME.fullmatch(name) or name == MANIFEST_NAME:
        raise InputError(f"{path}: lists {name!r}, which is not a plain file name inside the bundle")
    described = False
    if isinstance(entry, dict) and "bytes" in entry:
        sha256 = str(entry.get("sha256"))
        described = _SHA256.fullmatch(sha256) is not None
    if not described:
        raise InputError(f"{path}: {name} must be listed with its sha256 and bytes, got {entry!r:.80}")
