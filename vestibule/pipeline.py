"""The whole inference: T2 volume -> working grid -> synthetic T1 -> class probabilities -> mask on the input's grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vestibule.bundle_check import check_networks, component_rules, misfit
from vestibule.components import ComponentRule, keep_components
from vestibule.device import pick_device
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.focus import Focus
from vestibule.manifest import MANIFEST_NAME
from vestibule.networks import GeneratorConfig, build_generator, shapes_of
from vestibule.preprocessing import PreprocessingConfig, labels_to_original, to_working
from vestibule.segmentation import Segmenter
from vestibule.translation import translate
from vestibule.volume import Volume
from vestibule.weights import Bundle, open_bundle


@dataclass(frozen=True)
class Model:
    """One arm of a bundle, loaded onto a device."""

    arm: str
    edition: int
    notice: str
    """What must be said at every use; empty where there is nothing to warn of."""
    preprocessing: PreprocessingConfig
    translator: nn.Module | None
    """T2 -> T1 generator; None where the segmenter works on T2 itself."""
    segmenter: Segmenter
    device: torch.device
    components: dict[str, ComponentRule] = field(default_factory=dict)
    """Which parts of a structure stay in the mask, by structure."""

    def run(self, volume: Volume) -> Volume:
        """The mask of `volume`: uint8 labels (Z, Y, X) on exactly its geometry.

        Raises InputError where the volume holds no head to speak of.
        """
        geometry = volume.geometry.steady()
        working = to_working(replace(volume, geometry=geometry), self.preprocessing)
        t1_unit = self.synthetic_t1(working)
        probabilities = self.segmenter.probabilities(t1_unit, working.geometry.spacing_zyx)
        mask = labels_to_original(probabilities, working.geometry, geometry)
        voxel_mm3 = float(np.prod(geometry.spacing_zyx))
        kept = keep_components(mask.voxels, self.components, get_edition(self.edition), voxel_mm3)
        return Volume(kept, volume.geometry)

    def synthetic_t1(self, working: Volume) -> np.ndarray:
        """T1 in [-1, 1] (Z, Y, X) of a T2 volume on the working grid: what the segmenter sees."""
        if self.translator is None:
            return working.voxels
        return translate(self.translator, working.voxels)


def load_model(bundle_dir: Path, arm: str | None = None, device: str | None = None) -> Model:
    """Load one arm of a bundle.

    Args:
        bundle_dir: Folder of the bundle.
        arm: One of its arms; by default its own choice.
        device: `cpu` or `cuda`; by default, and for `auto`, a GPU where there is one.

    Returns:
        The model, on the device.

    Raises:
        InputError: The bundle is missing, altered or lacks the arm, its parts do not fit each other, or the device is
            not there.
    """
    bundle = open_bundle(Path(bundle_dir))
    chosen_arm = bundle.arm(arm)
    # Before anything that the bundle names is built: it may come from anyone.
    check_networks(bundle, chosen_arm)
    chosen_device = pick_device(device)
    manifest = bundle.manifest
    try:
        networks = manifest["networks"][chosen_arm]
        return Model(
            arm=chosen_arm,
            edition=int(manifest["edition"]),
            notice=bundle.notice,
            preprocessing=PreprocessingConfig.from_bundle(manifest["preprocessing"]),
            translator=_load_translator(bundle, networks["translator"], chosen_device),
            segmenter=_load_segmenter(bundle, networks["segmenter"], chosen_device),
            device=chosen_device,
            components=component_rules(networks["segmenter"]),
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise misfit(bundle, error) from error


def focus_of(preprocessing: PreprocessingConfig) -> Focus:
    """Where a segmenter looks closely, on images that were prepared so."""
    is_around_ears = preprocessing.centre == "head"
    return Focus(preprocessing.size_yx if is_around_ears else None)


def _load_translator(bundle: Bundle, entry: dict | None, device: torch.device) -> nn.Module | None:
    """The generator of an arm's manifest entry; None for an arm that translates nothing."""
    if entry is None:
        return None
    config = GeneratorConfig(**entry["generator"])
    tensors = bundle.tensors(entry["tensors"])
    # Without memory first, so that what is built is no larger than the tensors that came with it.
    with torch.device("meta"):
        planned = build_generator(config).state_dict()
    if shapes_of(planned) != shapes_of(tensors):
        raise InputError(f"{bundle.path}: whole, but {entry['tensors']} does not fit the generator in {MANIFEST_NAME}")
    generator = build_generator(config)
    generator.load_state_dict(tensors)
    return generator.to(device).eval()


def _load_segmenter(bundle: Bundle, entry: dict, device: torch.device) -> Segmenter:
    """The nnU-Net of an arm's manifest entry, with the parameters of all its folds."""
    preprocessing = PreprocessingConfig.from_bundle(bundle.manifest["preprocessing"])
    return Segmenter(
        plans=bundle.document(entry["plans"]),
        dataset=bundle.document(entry["dataset"]),
        configuration=entry["configuration"],
        parameters=[bundle.tensors(fold) for fold in entry["tensors"]],
        device=device,
        mirror_axes=tuple(entry["mirror_axes"]),
        tile_step=entry["tile_step"],
        focus=focus_of(preprocessing) if entry.get("focus") else None,
    )
