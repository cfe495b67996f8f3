"""Whether the networks that a bundle asks for may be built: looked at before any of it is imported, built or called."""

from __future__ import annotations

from pathlib import Path

from vestibule.components import ComponentRule
from vestibule.editions import Edition, get_edition
from vestibule.errors import InputError
from vestibule.manifest import MANIFEST_NAME
from vestibule.networks import GeneratorConfig
from vestibule.plans import check_dataset, check_plans
from vestibule.preprocessing import PreprocessingConfig
from vestibule.weights import Bundle

MAX_FOLDS = 32
AXES_MIRRORED = (0, 1, 2)
MIN_TILE_STEP = 0.1
"""The least way that a window moves, as a share of its size: ten windows a side, where nnU-Net has two."""
MAX_FEATURE_VALUES = 1 << 27
"""Most values of a generator's widest features on the region of interest: half a GiB of them."""


def check_whole(bundle: Bundle) -> None:
    """Refuse a bundle of which any arm's networks are unknown, or any tensor is not finite. Raises InputError."""
    for arm in bundle.manifest["arms"]:
        check_networks(bundle, arm)
    for name in bundle.manifest["files"]:
        if name.endswith(".safetensors"):
            bundle.tensors(name.removesuffix(".safetensors"))


def check_networks(bundle: Bundle, arm: str) -> None:
    """Refuse an arm whose networks are none of those that are known, or larger than any machine needs.

    Raises InputError, naming the file, the key and what was expected.
    """
    manifest = bundle.manifest
    manifest_path = bundle.path / MANIFEST_NAME
    try:
        entry = manifest["networks"][arm]
        preprocessing = PreprocessingConfig.from_bundle(manifest["preprocessing"])
        if entry["translator"] is not None:
            _check_translator(manifest_path, arm, entry["translator"], preprocessing)
        _check_segmenter(bundle, arm, entry["segmenter"])
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{manifest_path}: {arm}: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise misfit(bundle, error) from error


def component_rules(entry: dict) -> dict[str, ComponentRule]:
    """Which parts of structures stay, in a segmenter's entry of a manifest; bundles of before these rules have none.

    Raises ValueError, TypeError or AttributeError where the entry holds something else.
    """
    rules = {}
    for structure, values in entry.get("components", {}).items():
        rules[structure] = ComponentRule(**values)
    return rules


def misfit(bundle: Bundle, error: Exception) -> InputError:
    """The error for a bundle whose files are whole, but not of one model."""
    cause = f"{type(error).__name__}: {error}"
    return InputError(f"{bundle.path}: whole, but its networks and tensors do not fit each other ({cause})")


def _check_translator(path: Path, arm: str, entry: dict, preprocessing: PreprocessingConfig) -> None:
    """Refuse a generator of unknown kind or absurd size."""
    generator = GeneratorConfig(**entry["generator"])
    rows, columns = preprocessing.size_yx
    if generator.width * rows * columns > MAX_FEATURE_VALUES:
        raise InputError(
            f"{path}: {arm}: a generator of width {generator.width} on {rows} x {columns} voxels needs more memory "
            "than any machine has to spare"
        )


def check_settings(where: object, entry: dict, edition: Edition) -> None:
    """Refuse a segmenter's entry of a manifest whose folds, mirroring, window or rules are none that are known.

    Args:
        where: Where the entry comes from, for messages.
        entry: As a manifest has it.
        edition: Whose structures the rules are for.

    Raises:
        InputError: Naming the key and what was expected.
        ValueError: A rule is none that is known; TypeError and AttributeError likewise.
    """
    folds = entry["tensors"]
    axes = entry["mirror_axes"]
    step = entry["tile_step"]
    wrong = None
    if not isinstance(folds, list) or not 1 <= len(folds) <= MAX_FOLDS:
        wrong = f"tensors must be a list of 1 to {MAX_FOLDS} names, got {folds!r:.80}"
    elif not isinstance(axes, list) or not _are_axes(axes):
        wrong = f"mirror_axes must be a list of some of 0, 1 and 2, got {axes!r:.80}"
    elif not isinstance(step, int | float) or not MIN_TILE_STEP <= step <= 1:
        wrong = f"tile_step must be from {MIN_TILE_STEP} to 1, got {step!r:.80}"
    elif not isinstance(entry.get("focus", False), bool):
        wrong = f"focus must be true or false, got {entry['focus']!r:.80}"
    if wrong is not None:
        raise InputError(f"{where}: {wrong}")
    for structure in component_rules(entry):
        # Raises ValueError for a structure that the edition does not have.
        edition.values_of(structure)


def _are_axes(axes: list) -> bool:
    """Whether a list holds known axes, each once."""
    for axis in axes:
        if axis not in AXES_MIRRORED:
            return False
    return len(set(axes)) == len(axes)


def _check_segmenter(bundle: Bundle, arm: str, entry: dict) -> None:
    """Refuse a segmenter whose settings or plans are not those of a known network."""
    edition = get_edition(bundle.manifest["edition"])
    check_settings(f"{bundle.path / MANIFEST_NAME}: {arm}", entry, edition)

    plans_name = entry["plans"]
    plans = bundle.document(plans_name)
    plans_path = bundle.path / f"{plans_name}.json"
    check_plans(plans_path, plans, entry["configuration"])

    dataset_name = entry["dataset"]
    dataset = bundle.document(dataset_name)
    dataset_path = bundle.path / f"{dataset_name}.json"
    check_dataset(dataset_path, dataset)
