"""Bundles of weights: a folder of safetensors, JSON and text with a manifest that lists every file and its sha256.

A bundle is verified before anything in it is loaded, and no pickle is ever opened. Nothing here imports torch before
tensors are asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vestibule.editions import EDITIONS
from vestibule.errors import InputError

if TYPE_CHECKING:
    import torch

SCHEMA_VERSION = 1
"""Version of the manifest that this code writes and reads."""
MANIFEST_NAME = "manifest.json"
WEIGHTS_VARIABLE = "VESTIBULE_WEIGHTS"
"""Environment variable that names a bundle where none is given."""
MODEL_MOUNT = Path("/opt/ml/model")
"""Where Grand Challenge unpacks a model that was uploaded apart from the image."""
OWN_ROOT = Path(__file__).resolve().parents[1]
"""The repository, or the image's folder that holds this package and `weights/`."""

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
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*(/[A-Za-z0-9_][A-Za-z0-9_.\-]*)*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LFS_START = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Bundle:
    """A verified folder of weights. Make one with `open_bundle` or `write_bundle`."""

    path: Path
    manifest: dict

    @property
    def notice(self) -> str:
        """What a user is told at every use, such as what the weights are not for; may be empty."""
        return self.manifest["notice"]

    @property
    def broken_rules(self) -> list[str]:
        """The challenge's rules that these weights break: it allows neither further data nor pre-trained models."""
        provenance = self.manifest["provenance"]
        broken = {
            "external_data": "trained on data from outside the challenge",
            "extra_annotation": "used annotation that is not the challenge's",
            "pretrained": "started pre-trained",
        }
        # Bundles that were made before annotation was recorded name no such key.
        return [words for key, words in broken.items() if provenance.get(key)]

    def arm(self, name: str | None = None) -> str:
        """`name`, or the default arm where it is None. Raises InputError for an arm that the bundle does not hold."""
        if name is None:
            return self.manifest["default_arm"]
        if name not in self.manifest["arms"]:
            raise InputError(f"{self.path}: holds no arm {name!r}, only {', '.join(self.manifest['arms'])}")
        return name

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of `name.safetensors` by name, on the CPU. Raises InputError where it is not in the bundle."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._listed(f"{name}.safetensors")
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{path}: not a safetensors file ({error})") from error

    def document(self, name: str) -> dict:
        """The object in `name.json`. Raises InputError where it is not in the bundle or no JSON object."""
        return _read_json(self._listed(f"{name}.json"))

    def _listed(self, name: str) -> Path:
        if name not in self.manifest["files"]:
            listed = ", ".join(sorted(self.manifest["files"])) or "nothing"
            raise InputError(f"{self.path / MANIFEST_NAME}: lists no file {name}, only {listed}")
        return self.path / name


def open_bundle(path: Path) -> Bundle:
    """Read the manifest of the bundle at `path` and verify every file that it lists, before any is loaded.

    Raises InputError, naming the file and what to do, where the manifest is missing, of another schema or incomplete,
    or where a listed file is missing, outside the folder, a Git LFS pointer, or not of the recorded size and sha256.
    """
    path = Path(path)
    if not path.is_dir():
        cause = "a bundle is a folder, got a file" if path.exists() else "no such folder of weights"
        raise InputError(f"{path}: {cause}; expected a folder with {MANIFEST_NAME}")
    if not (path / MANIFEST_NAME).is_file():
        raise InputError(f"{path}: not a bundle of weights, {MANIFEST_NAME} is missing from it")
    manifest = _read_json(path / MANIFEST_NAME)
    _check_manifest(path / MANIFEST_NAME, manifest)
    for name, entry in manifest["files"].items():
        _verify_file(path, name, entry)
    return Bundle(path, manifest)


def write_bundle(
    path: Path,
    manifest: dict,
    tensors: dict[str, dict[str, torch.Tensor]],
    documents: dict[str, dict],
    texts: dict[str, str],
) -> Bundle:
    """Write a bundle to the folder `path`, whole or not at all, and verify what was written.

    `tensors` and `documents` are stored as `name.safetensors` and `name.json`, `texts` under their own names
    (`README.md`). `schema_version` and `files` of the manifest are filled in here; every other key is the caller's.
    An older bundle at `path` is replaced. Raises ValueError for an incomplete manifest or an unusable file name,
    InputError where `path` holds something else or the disk refuses.
    """
    path = Path(path)
    _check_replaceable(path)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        files = {name: _describe(partial / name) for name in _write_files(partial, tensors, documents, texts)}
        manifest = {**manifest, "schema_version": SCHEMA_VERSION, "files": dict(sorted(files.items()))}
        _check_manifest(path / MANIFEST_NAME, manifest)
        (partial / MANIFEST_NAME).write_text(_to_json(manifest, MANIFEST_NAME))
        _swap(partial, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_bundle(path)


def find_bundle(explicit: Path | None = None, root: Path | None = None) -> Path:
    """The folder of the bundle to use: `explicit`, else $VESTIBULE_WEIGHTS, else /opt/ml/model, else the image's own.

    The image's own is `weights/` or `weights/phantom/` under `root` (where process.py lies), else beside this package.
    What was named and is not there is an error and not a reason to look further, and so is an /opt/ml/model that holds
    files but no manifest. Raises InputError that lists where it looked.
    """
    if explicit is not None:
        return Path(explicit)
    if os.environ.get(WEIGHTS_VARIABLE):
        named = Path(os.environ[WEIGHTS_VARIABLE])
        if not (named / MANIFEST_NAME).is_file():
            raise InputError(f"{named}: ${WEIGHTS_VARIABLE} names it, but it holds no {MANIFEST_NAME}")
        return named
    if MODEL_MOUNT.is_dir() and any(MODEL_MOUNT.iterdir()) and not (MODEL_MOUNT / MANIFEST_NAME).is_file():
        raise InputError(f"{MODEL_MOUNT}: holds files but no {MANIFEST_NAME}; pack the bundle's files at its top")
    roots = dict.fromkeys([*([] if root is None else [Path(root)]), OWN_ROOT])
    places = [MODEL_MOUNT, *(place for base in roots for place in (base / "weights", base / "weights" / "phantom"))]
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return place
    looked = ", ".join(map(str, places))
    raise InputError(f"no bundle of weights: looked at ${WEIGHTS_VARIABLE}, {looked}; name one with --weights")


def _check_manifest(path: Path, manifest: dict) -> None:
    version = manifest.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version is {version!r}, this vestibule reads {SCHEMA_VERSION}")
    missing = [key for key in _KEYS if key not in manifest]
    if missing:
        raise InputError(f"{path}: lacks {', '.join(missing)}; make the bundle again")
    for key, kind in _KEYS.items():
        if not isinstance(manifest[key], kind) or isinstance(manifest[key], bool):
            raise InputError(f"{path}: {key} must be of type {kind.__name__}, got {manifest[key]!r:.80}")
    if manifest["edition"] not in EDITIONS:
        raise InputError(f"{path}: edition must be one of {sorted(EDITIONS)}, got {manifest['edition']}")
    arms = manifest["arms"]
    if not arms or not all(isinstance(arm, str) for arm in arms) or manifest["default_arm"] not in arms:
        raise InputError(f"{path}: default_arm {manifest['default_arm']!r} must be one of arms {arms!r:.80}")
    for key in ("external_data", "pretrained"):
        if not isinstance(manifest["provenance"].get(key), bool):
            raise InputError(f"{path}: provenance must say {key} as true or false")
    for name, entry in manifest["files"].items():
        if not _NAME.fullmatch(name) or name == MANIFEST_NAME:
            raise InputError(f"{path}: lists {name!r}, which is not a plain file name inside the bundle")
        if not isinstance(entry, dict) or not _SHA256.fullmatch(str(entry.get("sha256"))) or "bytes" not in entry:
            raise InputError(f"{path}: {name} must be listed with its sha256 and bytes, got {entry!r:.80}")


def _verify_file(folder: Path, name: str, entry: dict) -> None:
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: listed in {MANIFEST_NAME} but missing; fetch the whole bundle again")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{path}: is a link out of the bundle; put the file itself there")
    _refuse_lfs_pointer(path)
    found = _describe(path)
    if found["bytes"] != entry["bytes"]:
        raise InputError(f"{path}: has {found['bytes']} bytes, {MANIFEST_NAME} says {entry['bytes']}; fetch it again")
    if found["sha256"] != entry["sha256"]:
        raise InputError(f"{path}: altered, its sha256 is not the one in {MANIFEST_NAME}; fetch the bundle again")


def _refuse_lfs_pointer(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_LFS_START))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if start == _LFS_START:
        raise InputError(f"{path}: is a Git LFS pointer and not the file itself; run `git lfs pull`")


def _describe(path: Path) -> dict:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}


def _read_json(path: Path) -> dict:
    _refuse_lfs_pointer(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def _to_json(content: dict, name: str) -> str:
    try:
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: cannot be stored as JSON ({error}); store null for a number that is not finite"
        ) from error


def _write_files(folder: Path, tensors: dict, documents: dict, texts: dict) -> Iterator[str]:
    from safetensors.torch import save_file

    contents = {f"{name}.safetensors": content for name, content in tensors.items()}
    contents |= {f"{name}.json": _to_json(content, f"{name}.json") for name, content in documents.items()}
    clashing = sorted((contents.keys() & texts.keys()) | ({MANIFEST_NAME} & (contents.keys() | texts.keys())))
    if clashing:
        raise ValueError(f"a bundle holds each name once and writes {MANIFEST_NAME} itself, got {', '.join(clashing)}")
    for name, content in {**contents, **texts}.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain file name inside the bundle")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (folder / name).write_text(content, encoding="utf-8")
        else:
            # Copies, because safetensors refuses views and tensors that share their memory.
            save_file(
                {key: tensor.detach().cpu().clone().contiguous() for key, tensor in content.items()}, folder / name
            )
        yield name


def _check_replaceable(path: Path) -> None:
    if path.is_dir() and any(path.iterdir()) and not (path / MANIFEST_NAME).is_file():
        raise InputError(f"{path}: holds files that are not a bundle; name a folder of its own")
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; name a folder")


def _swap(new: Path, path: Path) -> None:
    """Put the folder `new` at `path`; what was there comes back if that fails."""
    old = path.with_name(f".{path.name}.old-{os.getpid()}")
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
