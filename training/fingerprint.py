"""What the result of a stage depends on: the part of its record that decides whether it is made again.

A key of the configuration that changes no result carries `field(metadata={"changes_result": False})`; in the place of
False, a `Rule` tells whether it does. A key of which another value adds to what some stages have made, or leaves a part
of it out, carries a `Rule` as `field(metadata={"extends": ...})`: what these have made stays. A key that a later
version has added carries `field(metadata={"added": True})`: at its default it is left out, as records of before it have
none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any

Rule = Callable[[Any, str, Any], bool]
"""What holds of a key, by the settings around it, the name of a stage and the whole configuration."""
NAMED_AT_MOST = 5
"""Differences that are named; the rest are counted."""


@dataclass(frozen=True)
class KeyRules:
    """Which keys of a configuration do not count."""

    harmless: frozenset[str]
    """Dotted names of keys that change no result."""
    added: dict[str, Any]
    """Dotted names of keys of later versions, with the default at which each does not count, as JSON has it."""

    def without(self, keys: set[str]) -> KeyRules:
        """The same rules, by which `keys` do not count either."""
        return KeyRules(self.harmless | keys, self.added)


def rules_of(settings: Any, stage: str, every_key_counts: bool = False) -> KeyRules:
    """The rules for a stage; with `every_key_counts` those of one that records all of the configuration."""
    harmless = set() if every_key_counts else harmless_keys(settings, stage)
    return KeyRules(frozenset(harmless), added_keys(settings))


def harmless_keys(settings: Any, stage: str = "", where: str = "", whole: Any = None) -> set[str]:
    """Keys of a settings dataclass that do not change the result of a stage.

    Args:
        settings: A configuration, or a section of it.
        stage: Name of the stage.
        where: Dotted name of the section.
        whole: The configuration that it is a section of; None: `settings` itself.

    Returns:
        Dotted names, `where` before them.
    """
    whole = settings if whole is None else whole
    harmless = set()
    for field in fields(settings):
        place = f"{where}.{field.name}" if where else field.name
        value = getattr(settings, field.name)
        rule = field.metadata.get("changes_result", True)
        matters = rule(settings, stage, whole) if callable(rule) else rule
        if not matters:
            harmless.add(place)
        elif is_dataclass(value):
            harmless |= harmless_keys(value, stage, place, whole)
    return harmless


def extending_keys(settings: Any, stage: str, where: str = "", whole: Any = None) -> set[str]:
    """Keys of which another value leaves what a stage has made as it is; arguments and result as `harmless_keys`."""
    whole = settings if whole is None else whole
    extending = set()
    for field in fields(settings):
        place = f"{where}.{field.name}" if where else field.name
        value = getattr(settings, field.name)
        rule = field.metadata.get("extends")
        if rule is not None and rule(settings, stage, whole):
            extending.add(place)
        elif is_dataclass(value):
            extending |= extending_keys(value, stage, place, whole)
    return extending


def added_keys(settings: Any, where: str = "") -> dict[str, Any]:
    """Dotted names of the keys of a settings dataclass, `where` before them, that a later version has added.

    Returns:
        Name -> default, as JSON gives it back.
    """
    added = {}
    for field in fields(settings):
        place = f"{where}.{field.name}" if where else field.name
        if field.metadata.get("added", False):
            added[place] = _as_json(_default_of(field))
        value = getattr(settings, field.name)
        if is_dataclass(value):
            added |= added_keys(value, place)
    return added


def fingerprint_of(record: dict, rules: KeyRules) -> str:
    """Hexadecimal sha256 of what a stage's record says that its result depends on.

    Args:
        record: With `stage`, `seed`, `config` and `inputs`, as the runner writes it or JSON gives it back.
        rules: Which keys in `config` are left out.

    Returns:
        The fingerprint; a key more that changes no result, or another value of one, does not change it.
    """
    content = {
        "stage": record.get("stage"),
        "seed": record.get("seed"),
        "config": _that_count(record["config"], rules, ""),
        "inputs": record.get("inputs"),
    }
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode())
    return digest.hexdigest()


def differences(before: dict, now: dict, rules: KeyRules) -> str:
    """What differs between two records of a stage and may change its result, in words.

    Args:
        before: The record of what is there.
        now: The record of what is asked for.
        rules: Which keys are left out.

    Returns:
        Keys with both values, and inputs that have changed; the first few.
    """
    found = []
    earlier = _flat(_that_count(before.get("config", {}), rules, ""), "")
    later = _flat(_that_count(now["config"], rules, ""), "")
    earlier["seed"] = before.get("seed")
    later["seed"] = now["seed"]
    for key in sorted(earlier.keys() | later.keys()):
        old, new = earlier.get(key), later.get(key)
        if old != new:
            found.append(f"{key} was {json.dumps(old)} and is {json.dumps(new)}")

    inputs_before = before.get("inputs", {})
    for name, files in now["inputs"].items():
        files_before = inputs_before.get(name, {})
        if files != files_before:
            found.append(f"{_changed_file(files_before, files)} of {name} has changed")

    named = "; ".join(found[:NAMED_AT_MOST])
    more = len(found) - NAMED_AT_MOST
    return f"{named}; and {more} more" if more > 0 else named


def _changed_file(before: dict, now: dict) -> str:
    """The first file that is in one of two listings alone, or otherwise in the other."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            return name
    return "nothing"


def _that_count(values: dict, rules: KeyRules, where: str) -> dict:
    """A nested mapping without the keys that the rules leave out."""
    kept = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if place in rules.harmless:
            continue
        if place in rules.added and _as_json(value) == rules.added[place]:
            continue
        kept[key] = _that_count(value, rules, place) if isinstance(value, dict) else value
    return kept


def _default_of(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _as_json(value: Any) -> Any:
    """A value as JSON gives it back, which has no tuples."""
    return json.loads(json.dumps(value))


def _flat(values: dict, where: str) -> dict[str, Any]:
    """A nested mapping as one of dotted keys, its values as JSON gives them back."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if isinstance(value, dict):
            flat.update(_flat(value, place))
        else:
            flat[place] = _as_json(value)
    return flat
