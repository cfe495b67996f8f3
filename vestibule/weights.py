"""Bundles of weights: a folder of safetensors, JSON and text with a manifest that lists every file and its sha256.

A bundle is verified before anything in it is loaded, and no pickle is ever opened. Nothing here imports torch before
tensors are asked for.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vestibule import installed
from vestibule.errors import InputError
from vestibule.files import file_sha256, parse_json
from vestibule.finite import require_finite
from vestibule.manifest import FILE_NAME, MANIFEST_NAME, SCHEMA_VERSION, check_manifest
from vestibule.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import torch

WEIGHTS_VARIABLE = "VESTIBULE_WEIGHTS"
"""Environment variable that names a bundle where none is given."""
MODEL_MOUNT = Path("/opt/ml/model")
"""Where Grand Challenge unpacks a model that was uploaded apart from the image."""
MAX_JSON_BYTES = 64 << 20
"""Largest manifest or other document of a bundle that is read."""
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
        broken = []
        if provenance["external_data"]:
            broken.append("trained on data from outside the challenge")
        # Bundles that were made before annotation was recorded name no such key.
        if provenance.get("extra_annotation"):
            broken.append("used annotation that is not the challenge's")
        if provenance["pretrained"]:
            broken.append("started pre-trained")
        return broken

    def arm(self, name: str | None = None) -> str:
        """`name`, or the default arm where it is None. Raises InputError for an arm that the bundle does not hold."""
        if name is None:
            return self.manifest["default_arm"]
        arms = self.manifest["arms"]
        if name not in arms:
            raise InputError(f"{self.path}: holds no arm {name!r}, only {', '.join(arms)}")
        return name

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of `name.safetensors`, on the CPU. Raises InputError where it is not there or not finite."""
        path = self._listed(f"{name}.safetensors")
        tensors = read_tensors(path)
        require_finite(tensors, path)
        return tensors

    def document(self, name: str) -> dict:
        """The object in `name.json`. Raises InputError where it is not in the bundle or no JSON object."""
        return read_document(self._listed(f"{name}.json"))

    def _listed(self, name: str) -> Path:
        """Where a file of the bundle lies, which its manifest must list."""
        files = self.manifest["files"]
        if name not in files:
            listed = ", ".join(sorted(files)) or "nothing"
            manifest_path = self.path / MANIFEST_NAME
            raise InputError(f"{manifest_path}: lists no file {name}, only {listed}")
        return self.path / name


def open_bundle(path: Path) -> Bundle:
    """Read the manifest of the bundle at `path` and verify every file that it lists, before any is loaded.

    Raises InputError, naming the file and what to do, where the manifest is missing, of another schema or incomplete,
    or where a listed file is missing, outside the folder, a Git LFS pointer, or not of the recorded size and sha256.
    """
    path = Path(path)
    manifest_path = path / MANIFEST_NAME
    if not path.exists():
        raise InputError(f"{path}: no such folder of weights; expected a folder with {MANIFEST_NAME}")
    if not path.is_dir():
        raise InputError(f"{path}: a bundle is a folder, got a file; expected a folder with {MANIFEST_NAME}")
    if not manifest_path.is_file():
        raise InputError(f"{path}: not a bundle of weights, {MANIFEST_NAME} is missing from it")
    manifest = read_document(manifest_path)
    check_manifest(manifest_path, manifest)
    # All of them before the first is used: what is loaded later must be what was verified.
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
    """Write a bundle, whole or not at all, and verify what was written.

    Args:
        path: Its folder; an older bundle there is replaced.
        manifest: Every key but `schema_version` and `files`, which are filled in here.
        tensors: By name, stored as `name.safetensors`.
        documents: By name, stored as `name.json`.
        texts: By the file's own name, such as `README.md`.

    Returns:
        The bundle.

    Raises:
        ValueError: The manifest is incomplete, or a file's name unusable.
        InputError: `path` holds something else, a tensor is not finite, or the disk refuses.
    """
    path = Path(path)
    _check_replaceable(path)
    # Beside the place where it is to be, so that moving it there is one step.
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.mkdir(parents=True)
        files = {}
        for name in _write_files(partial, tensors, documents, texts):
            files[name] = _describe(partial / name)
        whole = dict(manifest)
        whole["schema_version"] = SCHEMA_VERSION
        whole["files"] = dict(sorted(files.items()))
        # Under the name that it will have, which is what an error should tell.
        check_manifest(path / MANIFEST_NAME, whole)
        # Plain writing will do: the folder as a whole takes its place, or none of it.
        (partial / MANIFEST_NAME).write_text(_to_json(whole, MANIFEST_NAME), encoding="utf-8")
        _swap(partial, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return open_bundle(path)


def find_bundle(explicit: Path | None = None, root: Path | None = None) -> Path:
    """The folder of the bundle to use: `explicit`, else $VESTIBULE_WEIGHTS, else /opt/ml/model, else the image's own.

    The image's own is `weights/` or `weights/phantom/` under `root` (where process.py lies), else beside this package,
    else what a wheel has installed.
    What was named and is not there is an error and not a reason to look further, and so is an /opt/ml/model that holds
    files but no manifest. Raises InputError that lists where it looked.
    """
    if explicit is not None:
        return Path(explicit)
    variable = os.environ.get(WEIGHTS_VARIABLE)
    if variable:
        named = Path(variable)
        if not (named / MANIFEST_NAME).is_file():
            raise InputError(f"{named}: ${WEIGHTS_VARIABLE} names it, but it holds no {MANIFEST_NAME}")
        return named

    # An empty mount is what the platform gives where no model was uploaded apart.
    is_bundle = (MODEL_MOUNT / MANIFEST_NAME).is_file()
    if not is_bundle and MODEL_MOUNT.is_dir() and any(MODEL_MOUNT.iterdir()):
        raise InputError(f"{MODEL_MOUNT}: holds files but no {MANIFEST_NAME}; pack the bundle's files at its top")

    places = [MODEL_MOUNT]
    own = [] if root is None else [Path(root) / "weights"]
    for folder in (*own, *installed.places("weights")):
        places += [folder, folder / "phantom"]
    # Both roots are the same where process.py lies beside this package.
    places = list(dict.fromkeys(places))
    for place in places:
        if (place / MANIFEST_NAME).is_file():
            return place
    looked = ", ".join(str(place) for place in places)
    raise InputError(f"no bundle of weights: looked at ${WEIGHTS_VARIABLE}, {looked}; name one with --weights")


def read_document(path: Path) -> dict:
    """The JSON object in a file that may come from anyone. Raises InputError, naming the file, where there is none."""
    _refuse_lfs_pointer(path)
    length = path.stat().st_size
    if length > MAX_JSON_BYTES:
        raise InputError(f"{path}: has {length} bytes, more than any of a bundle's documents")
    try:
        content = parse_json(path.read_bytes())
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(content).__name__}")
    return content


def _verify_file(folder: Path, name: str, entry: dict) -> None:
    """Refuse a listed file that is missing, lies elsewhere, or is not what the manifest says."""
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: listed in {MANIFEST_NAME} but missing; fetch the whole bundle again")
    target = path.resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(f"{path}: is a link out of the bundle; put the file itself there")
    _refuse_lfs_pointer(path)
    # The length first: a download that broke off is told as that, and without reading the file.
    length, listed_length = path.stat().st_size, entry["bytes"]
    if length != listed_length:
        raise InputError(f"{path}: has {length} bytes, {MANIFEST_NAME} says {listed_length}; fetch it again")
    if file_sha256(path) != entry["sha256"]:
        raise InputError(f"{path}: altered, its sha256 is not the one in {MANIFEST_NAME}; fetch the bundle again")


def _refuse_lfs_pointer(path: Path) -> None:
    """Refuse the text that Git leaves in a large file's place where it was not fetched."""
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_LFS_START))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if start == _LFS_START:
        raise InputError(f"{path}: is a Git LFS pointer and not the file itself; run `git lfs pull`")


def _describe(path: Path) -> dict:
    """What the manifest says of a file."""
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def _to_json(content: dict, name: str) -> str:
    """`content` as JSON proper, which knows no NaN. Raises ValueError, naming the file, where it cannot be."""
    try:
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: cannot be stored as JSON ({error}); store null for a number that is not finite"
        ) from error


def _write_files(
    folder: Path,
    tensors: dict[str, dict[str, torch.Tensor]],
    documents: dict[str, dict],
    texts: dict[str, str],
) -> Iterator[str]:
    """Write the files of a bundle into `folder`, and yield the name of each."""
    contents: dict[str, str | dict[str, torch.Tensor]] = {}
    for name, named_tensors in tensors.items():
        contents[f"{name}.safetensors"] = named_tensors
    for name, document in documents.items():
        contents[f"{name}.json"] = _to_json(document, f"{name}.json")
    clashing = contents.keys() & texts.keys()
    contents.update(texts)
    if MANIFEST_NAME in contents:
        clashing.add(MANIFEST_NAME)
    if clashing:
        names = ", ".join(sorted(clashing))
        raise ValueError(f"a bundle holds each name once and writes {MANIFEST_NAME} itself, got {names}")

    for name, content in contents.items():
        if not FILE_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a plain file name inside the bundle")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            require_finite(content, name)
            write_tensors(path, content)
        yield name


def _check_replaceable(path: Path) -> None:
    """Refuse a place that holds something which is no bundle."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: is a file; name a folder")
    if not path.is_dir():
        return
    is_bundle = (path / MANIFEST_NAME).is_file()
    if any(path.iterdir()) and not is_bundle:
        raise InputError(f"{path}: holds files that are not a bundle; name a folder of its own")


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
