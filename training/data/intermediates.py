"""The stations of a case on its way through a finished run: what evidence measures and what figures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.torch import load_file
from torch import nn

from training.config import build
from training.data.slices import PreparedCase, read_cases
from training.run_folder import is_done, recorded_config
from training.stage_table import CYCLEGAN, PHANTOM, PIX2PIX, TRANSFER, Stage
from vestibule.editions import Edition, get_edition, target_case
from vestibule.errors import InputError
from vestibule.files import read_json
from vestibule.networks import GeneratorConfig, build_generator
from vestibule.pipeline import pick_device
from vestibule.translation import translate


class Translators:
    """The trained generators of a run, each loaded when it is first asked for."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._loaded: dict[tuple[Stage, str], nn.Module] = {}

    def __call__(self, stage: Stage, name: str, volume: np.ndarray) -> np.ndarray:
        """`volume` (Z, Y, X) in [-1, 1] through the generator `name` of `stage`, float32.

        Raises InputError where the stage is not done.
        """
        if (stage, name) not in self._loaded:
            self._loaded[stage, name] = self._load(stage, name)
        return translate(self._loaded[stage, name], volume)

    def _load(self, stage: Stage, name: str) -> nn.Module:
        values = recorded_config(self._run_dir, stage)[stage.name]["generator"]
        generator = build_generator(build(GeneratorConfig, values, f"{stage.name}.generator"))
        generator.load_state_dict(load_file(stage.folder(self._run_dir) / f"{name}.safetensors"))
        return generator.to(pick_device()).eval()


def source_stations(case: PreparedCase, run_dir: Path, translators: Translators) -> dict[str, np.ndarray]:
    """A labelled T1 case at every station, name -> float32 (Z, Y, X) in [-1, 1].

    T1; T2 as the CycleGAN gives it, with the naive copy, and harmonised (B'); T1 back from the CycleGAN's T2 by the
    CycleGAN, and from B' by pix2pix. Stations of stages that the run does not have are left out. Raises InputError
    where the CycleGAN is not done.
    """
    source = np.asarray(case.image, dtype=np.float32)
    stations = {"T1": source, "T2, CycleGAN": translators(CYCLEGAN, "source_to_target", source)}
    erased = stations["T2, CycleGAN"]
    if is_done(run_dir, TRANSFER):
        section = recorded_config(run_dir, TRANSFER)
        structures = get_edition(section["edition"]).structures
        values = [value for name in section[TRANSFER.name]["structures"] for value in structures[name]]
        stations["T2, naive copy"] = np.where(np.isin(case.labels, values), source, erased)
        (moved,) = (other for other in read_cases(run_dir, "source", TRANSFER) if other.name == case.name)
        stations["T2, harmonised"] = np.asarray(moved.image, dtype=np.float32)
    stations["T1 back, CycleGAN"] = translators(CYCLEGAN, "target_to_source", erased)
    if "T2, harmonised" in stations and is_done(run_dir, PIX2PIX):
        stations["T1 back, pix2pix"] = translators(PIX2PIX, "generator", stations["T2, harmonised"])
    return stations


def target_images(data: Path, edition: Edition, folder: str) -> dict[str, tuple[Path, Path | None]]:
    """T2 images in `folder` of the data, by case, each with its reference where there is one (phantoms have them)."""
    found = {}
    for image in sorted((data / folder).glob("*.nii*")):
        case = target_case(image)
        if case:
            label = data / "references" / folder / edition.label_name(case)
            found[case] = (image, label if label.is_file() else None)
    return found


def data_of(run_dir: Path) -> Path:
    """Folder of the images that a run was made from. Raises InputError where the run does not tell."""
    phantoms = PHANTOM.folder(run_dir) / "data"
    if phantoms.is_dir():
        return phantoms
    record = read_json(run_dir / "data.json")
    if not record:
        raise InputError(f"{run_dir}: holds neither phantoms nor data.json; is this the folder of a run?")
    return Path(record["data"])
