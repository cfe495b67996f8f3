"""A configuration from YAML: an unknown key is fatal and names the nearest known."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from pathlib import Path

import yaml

from training.config.harmoniser import HarmoniserSettings
from training.config.run import RunConfig
from training.harmoniser_table import DEFAULT, HARMONISERS, harmoniser_class
from vestibule.errors import InputError

SLICE_KEYS = ("case", "slice", "min_tumour_px", "crop_px")
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
    **{f"harmoniser.{key}": f"'reference.{key}'" for key in SLICE_KEYS},
}
"""Keys of earlier versions, and what stands in their place."""


def read_config(path: Path) -> RunConfig:
    """The configuration in the YAML file `path`. Raises InputError, naming the file and the key."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    try:
        return build(RunConfig, values, "")
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error


def build(kind: type, values: object, where: str) -> typing.Any:
    """A dataclass of type `kind` from a mapping. Raises ValueError for an unknown key or a value of another type."""
    if not isinstance(values, dict):
        raise ValueError(f"{where or 'the file'} must be a mapping of keys to values, got {type(values).__name__}")
    if kind is HarmoniserSettings:
        kind = settings_of(values.get("kind", DEFAULT), where)
    hints = typing.get_type_hints(kind)
    values = kind.with_preset(values) if hasattr(kind, "with_preset") else values
    for key in values:
        renamed = RENAMED.get(_join(where, key))
        if key not in hints and renamed:
            raise ValueError(f"{_join(where, key)!r} is no longer read; write {renamed}")
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(hints)}"
            raise ValueError(f"unknown key {_join(where, key)!r}{hint}")
    return kind(**{key: _convert(hints[key], value, _join(where, key)) for key, value in values.items()})


def settings_of(kind: object, where: str) -> type[HarmoniserSettings]:
    """The settings dataclass of a kind of harmoniser. Raises ValueError for a kind that the table does not have."""
    if kind not in HARMONISERS:
        near = difflib.get_close_matches(str(kind), HARMONISERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{_join(where, 'kind')} must be one of {tuple(HARMONISERS)}, got {kind!r}{hint}")
    return harmoniser_class(kind).Settings


def _convert(hint: typing.Any, value: object, where: str) -> typing.Any:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        if value is None:
            return None
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not type(None))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, got {value!r}")
        if kinds[-1] is not Ellipsis and len(value) != len(kinds):
            raise ValueError(f"{where} must have {len(kinds)} values, got {value!r}")
        return tuple(_convert(kinds[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(hint, type) or not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ValueError(f"{where} must be {getattr(hint, '__name__', hint)}, got {value!r}")
    return value


def _join(where: str, key: object) -> str:
    return f"{where}.{key}" if where else str(key)
