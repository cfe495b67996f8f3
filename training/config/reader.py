"""A configuration from YAML: an unknown key is fatal and names the nearest known."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from training.config.harmoniser import HarmoniserSettings
from training.config.run import RunConfig
from training.config.yaml_file import read_yaml
from training.harmoniser_table import DEFAULT, HARMONISERS, harmoniser_class
from vestibule import installed
from vestibule.errors import InputError

RENAMED = {
    "singan": (
        "the sections 'reference' (case, slice, count in place of references, min_tumour_px, crop_px) and 'harmoniser' "
        "(kind: singan, and its other keys); 'schedule: paper' no longer sets crop_px, so that the whole slice needs "
        "'reference.crop_px: null'"
    ),
    "blend": "'augment', with level and cochlea_level in place of injection_scale and cochlea_injection_scale",
    "transfer.injection_scale": "'transfer.level'",
    "augment.injection_scale": "'augment.level'",
    "augment.cochlea_injection_scale": "'augment.cochlea_level'",
    "reference.references": "'reference.count'",
    "harmoniser.references": "'reference.count'",
    "harmoniser.case": "'reference.case'",
    "harmoniser.slice": "'reference.slice'",
    "harmoniser.min_tumour_px": "'reference.min_tumour_px'",
    "harmoniser.crop_px": "'reference.crop_px'",
}
"""Keys of earlier versions, and what stands in their place."""


def read_config(path: Path) -> RunConfig:
    """The configuration in the YAML file `path`, or the one that is installed under this name, such as `phantom`.

    Raises InputError, naming the file and the key.
    """
    path = _find_config(Path(path))
    try:
        return build(RunConfig, read_yaml(path), "")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        cause = " ".join(str(error).split())
        raise InputError(f"{path}: not YAML ({cause})") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _find_config(path: Path) -> Path:
    """`path`, or the installed configuration that a bare name stands for. Raises InputError where there is neither."""
    is_bare = path.suffix == "" and len(path.parts) == 1
    if path.is_file() or not is_bare:
        return path
    names = []
    for folder in installed.places("configs"):
        known = folder / f"{path.name}.yaml"
        if known.is_file():
            return known
        names += [entry.stem for entry in sorted(folder.glob("*.yaml"))]
    shown = ", ".join(dict.fromkeys(names)) or "none"
    raise InputError(f"{path}: no such file, and no configuration of this name; those that are installed: {shown}")


def build(kind: Any, values: Any, where: str) -> Any:
    """A dataclass of settings from a mapping.

    Args:
        kind: The dataclass; of `HarmoniserSettings`, the one that the mapping's `kind` names.
        values: Keys and values, as YAML has them.
        where: Dotted place of the mapping in the file, for messages; empty for the file itself.

    Returns:
        An object of type `kind`; what the mapping leaves out has its default.

    Raises:
        ValueError: A key is unknown or missing, a value is of another type, or the settings do not go together.
    """
    if not isinstance(values, dict):
        place = where or "the file"
        found = type(values).__name__
        raise ValueError(f"{place} must be a mapping of keys to values, got {found}")
    if kind is HarmoniserSettings:
        kind = settings_of(values.get("kind", DEFAULT), where)
    if hasattr(kind, "with_preset"):
        values = kind.with_preset(values)

    # All keys before any value: a misspelt key is the likelier cause of what would follow.
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            place = _join(where, key)
            raise ValueError(_unknown(place, key, list(hints)))

    missing = [field.name for field in dataclasses.fields(kind) if _is_required(field) and field.name not in values]
    if missing:
        lacking = ", ".join(_join(where, key) for key in missing)
        raise ValueError(f"lacks {lacking}, which has no default")

    converted = {}
    for key, value in values.items():
        place = _join(where, key)
        converted[key] = _convert(hints[key], value, place)
    return kind(**converted)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _unknown(place: str, key: object, known: list[str]) -> str:
    """What to say of a key that there is not."""
    if place in RENAMED:
        return f"{place!r} is no longer read; write {RENAMED[place]}"
    hint = _nearest(key, known)
    if not hint:
        listed = ", ".join(known)
        hint = f"; known keys: {listed}"
    return f"unknown key {place!r}{hint}"


def _nearest(word: object, known: Iterable[str]) -> str:
    """A hint at the one of `known` that is spelt most like `word`; empty where none is near."""
    near = difflib.get_close_matches(str(word), known, n=1)
    if not near:
        return ""
    (nearest,) = near
    return f"; did you mean {nearest!r}?"


def settings_of(kind: object, where: str) -> type[HarmoniserSettings]:
    """The settings dataclass of a kind of harmoniser. Raises ValueError for a kind that the table does not have."""
    if not isinstance(kind, str) or kind not in HARMONISERS:
        place = _join(where, "kind")
        hint = _nearest(kind, HARMONISERS)
        raise ValueError(f"{place} must be one of {tuple(HARMONISERS)}, got {kind!r}{hint}")
    return harmoniser_class(kind).Settings


def _convert(hint: Any, value: Any, where: str) -> Any:
    """`value` as the type that a key is annotated with. Raises ValueError where it is another."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        # Unions of the settings are all `X | None`.
        hint, _ = typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        return _convert_tuple(typing.get_args(hint), value, where)

    whole = isinstance(value, int) and not isinstance(value, bool)
    if hint is float and whole:
        try:
            return float(value)
        except OverflowError as error:
            raise ValueError(f"{where} must be a finite number, got one of {value.bit_length()} bits") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} must be a finite number, got {value!r}")
    # To Python true is an integer, to YAML it is not.
    right = whole if hint is int else isinstance(value, hint)
    if not right:
        raise ValueError(f"{where} must be {hint.__name__}, got {value!r}")
    return value


def _convert_tuple(kinds: tuple, value: object, where: str) -> tuple:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list, got {value!r}")
    # All items of a tuple are of one kind, of a set number or of any: `tuple[int, int]`, `tuple[int, ...]`.
    count = len(kinds)
    if kinds[-1] is not Ellipsis and len(value) != count:
        raise ValueError(f"{where} must have {count} values, got {value!r}")
    items = [_convert(kinds[0], item, where) for item in value]
    return tuple(items)


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
