"""What stages leave of a case for others: entries of indices, images of a run's data, trained generators."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from torch import nn

from training.config import build
from training.data.raw_cases import named_folders
from training.data.site_code import OfSite, SiteCoded, read_sites
from training.run_folder import DATA, recorded_config
from training.stage_table import PHANTOM, PREPARE, Stage
from vestibule.data_folders import TARGET, locate, references_of
from vestibule.device import pick_device
from vestibule.editions import Edition, target_case
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import GeneratorConfig, build_generator
from vestibule.tensors import read_tensors
from vestibule.translation import translate

TO_TARGET = "source_to_target"
"""File of a CycleGAN's T1 -> T2 generator, without its ending."""


class Translators:
    """The trained generators of a run, each loaded when it is first asked for."""

    def __init__(self, run_dir: Path) -> None:
        """Generators of the run in `run_dir`."""
        self._run_dir = run_dir
        self._loaded: dict[tuple[Stage, str, str | None], nn.Module] = {}

    def __call__(self, stage: Stage, name: str, volume: np.ndarray, site: str | None = None) -> np.ndarray:
        """Translate a volume.

        Args:
            stage: Which stage trained the generator.
            name: The generator's file, without its ending.
            volume: (Z, Y, X) in [-1, 1].
            site: Whose look a generator with a site code shall give; None, or a site that it does not know: that of the
                first.

        Returns:
            Float32 (Z, Y, X) in [-1, 1].

        Raises:
            InputError: The stage is not done.
        """
        key = stage, name, site
        if key not in self._loaded:
            self._loaded[key] = self._load(stage, name, site)
        return translate(self._loaded[key], volume)

    def _load(self, stage: Stage, name: str, site: str | None) -> nn.Module:
        """The generator as its stage left it, on the device that there is."""
        section = recorded_config(self._run_dir, stage)[stage.name]
        settings = build(GeneratorConfig, section["generator"], f"{stage.name}.generator")
        generator = build_generator(settings)

        folder = stage.folder(self._run_dir)
        # Only the way to T2 is told a site.
        sites = read_sites(folder) if name == TO_TARGET else []
        if sites:
            generator = SiteCoded(generator, len(sites))
        weights = read_tensors(folder / f"{name}.safetensors")
        generator.load_state_dict(weights)
        if sites:
            place = sites.index(site) if site in sites else 0
            generator = OfSite(generator, place, len(sites))
        generator.to(pick_device())
        return generator.eval()


def copied_structures(labels: np.ndarray, structures: Iterable[str], edition: Edition) -> np.ndarray:
    """Voxels in `labels` (Z, Y, X) of any of `structures`, bool. Raises ValueError for one that there is not."""
    values: list[int] = []
    for structure in structures:
        values += edition.values_of(structure)
    return np.isin(labels, values)


def prepared_entries(run_dir: Path, domain: str) -> dict[str, dict]:
    """What the index of the prepared cases of `domain` says of each, by case. Raises InputError where there is none."""
    path = PREPARE.folder(run_dir) / "index.json"
    index = read_json(path)
    if index is None:
        raise InputError(f"{path.parent}: stage {PREPARE.name!r} is not done; run it first")
    entries = {}
    for entry in index["cases"]:
        if entry["domain"] == domain:
            entries[entry["case"]] = entry
    return entries


def derived_entry(entry: dict, name: str, image: Path) -> dict:
    """The index entry of an image that another stage has made of a prepared case, with that case's label.

    Args:
        entry: The prepared case's own.
        name: What the image is called.
        image: Where it lies in the other stage's folder.

    Returns:
        An entry of that stage's `index.json`.
    """
    derived = dict(entry)
    derived["case"] = name
    derived["image"] = str(image)
    # Seen from the other stage's folder.
    label = Path("..") / PREPARE.name / entry["label"]
    derived["label"] = str(label)
    return derived


def target_images(run_dir: Path, edition: Edition, role: str) -> dict[str, tuple[Path, Path | None]]:
    """T2 images of a run's data, by case, each with its reference where there is one (phantoms have them).

    Args:
        run_dir: The run.
        edition: How its folders and files are called.
        role: Which T2 images, `TARGET` or `VALIDATION` of `vestibule.data_folders`.

    Returns:
        Image and reference of each case; none where there is no such folder.

    Raises:
        InputError: The run does not tell its data, or its folders cannot be told apart.
    """
    data = data_of(run_dir)
    folders = locate(data, edition, named_folders(run_dir), (role,))
    folder = folders.target if role == TARGET else folders.validation
    references = references_of(data, edition, folder, role)
    # Hidden files are not images.
    images = sorted((data / folder).glob("[!.]*.nii*"))
    found: dict[str, tuple[Path, Path | None]] = {}
    for image in images:
        case = target_case(image)
        if case is None:
            continue
        label = references / edition.label_name(case)
        found[case] = image, label if label.is_file() else None
    return found


def data_of(run_dir: Path) -> Path:
    """Folder of the images that a run was made from. Raises InputError where the run does not tell."""
    phantoms = PHANTOM.folder(run_dir) / "data"
    if phantoms.is_dir():
        return phantoms
    record = read_json(run_dir / DATA)
    if not record:
        raise InputError(f"{run_dir}: holds neither phantoms nor {DATA}; is this the folder of a run?")
    return Path(record["data"])
