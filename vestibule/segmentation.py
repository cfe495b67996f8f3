"""T1 on the working grid -> class probabilities: nnU-Net's network and sliding window in process, no worker pools."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable

import numpy as np
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from torch import nn

from vestibule.errors import InputError
from vestibule.focus import Focus, FocusedPredictor
from vestibule.geometry import settled
from vestibule.networks import shapes_of

NORMS = {"torch.nn.modules.instancenorm.InstanceNorm3d": "vestibule.volume_norm.VolumeNorm"}
"""What is built in place of a norm that nnU-Net plans, with the same results."""


class Segmenter:
    """An nnU-Net, ready to predict. Isensee et al. 2021."""

    def __init__(
        self,
        plans: dict,
        dataset: dict,
        configuration: str,
        parameters: list[dict[str, torch.Tensor]],
        device: torch.device,
        mirror_axes: tuple[int, ...] = (),
        tile_step: float = 0.5,
        focus: Focus | None = None,
    ) -> None:
        """Build the planned network and load its parameters.

        Args:
            plans: As nnU-Net writes them.
            dataset: As nnU-Net writes it.
            configuration: Which of the plans' configurations.
            parameters: By name, one dictionary a fold; predictions of all are averaged.
            device: Where it runs.
            mirror_axes: Axes along which the image is mirrored too, and the predictions averaged.
            tile_step: How far the window moves, as a share of its size.
            focus: Where folds and mirrored images are asked; None: everywhere.

        Raises:
            InputError: The parameters are not those of the planned network.
        """
        manager = PlansManager(plans)
        chosen = manager.get_configuration(configuration)
        planned = planned_parameters(plans, dataset, configuration)
        for fold in parameters:
            if shapes_of(planned) != shapes_of(fold):
                raise InputError("segmenter weights do not fit the planned network; the bundle mixes files of two runs")
        network = _builder(manager, chosen, dataset)().to(device)
        if device.type == "cpu" and len(chosen.patch_size) == 3:
            # Convolutions of volumes then need no copy to another layout.
            network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # its types lack it
        states = [_complete_state(network, fold) for fold in parameters]
        self.plan = chosen
        """What nnU-Net planned: patch size, spacing, normalisation."""
        self.network = network
        """Holds the parameters of the last fold, until a prediction loads others."""
        self.states = states
        """What nnU-Net loads into the network, for each fold."""

        self._focus = focus
        kind = nnUNetPredictor if focus is None else FocusedPredictor
        # nnU-Net prints to stdout, which belongs to our own commands.
        with contextlib.redirect_stdout(io.StringIO()):
            self._predictor = kind(
                tile_step_size=tile_step,
                use_mirroring=bool(mirror_axes),
                device=device,
                allow_tqdm=False,
            )
            self._predictor.manual_initialization(
                network,
                manager,
                chosen,
                states,
                dataset,
                "nnUNetTrainer",
                mirror_axes or None,
            )

    def probabilities(self, t1_unit: np.ndarray, spacing_zyx: tuple[float, float, float]) -> np.ndarray:
        """Class probabilities float32 (C, Z, Y, X) of `t1_unit` (Z, Y, X) with voxels of `spacing_zyx` mm.

        When a GPU runs out of memory, nnU-Net sums the patches on the CPU instead; one patch at a time goes through
        the network in any case. Raises InputError where even that does not fit.
        """
        image = t1_unit[None].astype(np.float32)  # (1, Z, Y, X)
        # nnU-Net rounds sizes to whole voxels, and takes a ratio of three for anisotropic: both by the last digit.
        properties = {"spacing": list(settled(spacing_zyx))}
        if self._focus is not None:
            self._predictor.near_zyx = self._focus.near(t1_unit.shape, spacing_zyx)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                _, probabilities = self._predictor.predict_single_npy_array(
                    image,
                    properties,
                    save_or_return_probabilities=True,
                )
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            sides = self._predictor.configuration_manager.patch_size
            patch = " x ".join(str(side) for side in sides)
            raise InputError(
                f"the GPU has too little free memory for one patch of {patch} voxels, with the sums on the CPU; "
                "free it, or run on the CPU"
            ) from error
        return np.asarray(probabilities, dtype=np.float32)


def planned_parameters(plans: dict, dataset: dict, configuration: str) -> dict[str, nn.Parameter]:
    """Parameters by name, without memory, of the network that nnU-Net has planned."""
    manager = PlansManager(plans)
    build_network = _builder(manager, manager.get_configuration(configuration), dataset)
    # What is built later is then no larger than the parameters that came with it.
    with torch.device("meta"):
        return dict(build_network(allow_init=False).named_parameters())


def build_planned(plans: dict, dataset: dict, configuration: str) -> nn.Module:
    """The network that nnU-Net has planned, with random parameters."""
    manager = PlansManager(plans)
    return _builder(manager, manager.get_configuration(configuration), dataset)()


def _builder(manager: PlansManager, chosen: ConfigurationManager, dataset: dict) -> Callable[..., nn.Module]:
    # Not through nnUNetTrainer, whose import brings matplotlib, seaborn and augmentation into every container.
    arguments = dict(chosen.network_arch_init_kwargs)
    arguments["norm_op"] = NORMS.get(arguments["norm_op"], arguments["norm_op"])
    return functools.partial(
        get_network_from_plans,
        chosen.network_arch_class_name,
        arguments,
        chosen.network_arch_init_kwargs_req_import,
        determine_num_input_channels(manager, chosen, dataset),
        manager.get_label_manager(dataset).num_segmentation_heads,
        deep_supervision=False,
    )


def _complete_state(network: nn.Module, parameters: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Everything that the predictor loads into the network for one fold.

    A bundle holds each tensor once; nnU-Net's networks list it under several names and its predictor wants them all.
    """
    network.load_state_dict(parameters, strict=False)
    # Copies, since the next fold is loaded into the same network: one of each tensor, under all its names.
    copies: dict[int, torch.Tensor] = {}
    complete = {}
    for name, value in network.state_dict().items():
        place = value.data_ptr()
        if place not in copies:
            copies[place] = value.clone()
        complete[name] = copies[place]
    return complete
