"""What the names of outlined structures stand for: people write them as they like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from vestibule.editions import TUMOUR
from vestibule.errors import InputError

COCHLEA = "cochlea"
IGNORED = "ignore"
"""What is outlined and not wanted."""

NAMES: dict[str, tuple[str, ...]] = {
    TUMOUR: ("tv", "vs", "an", r"vol\s*\d{4}", "tumou?r", "schwannoma", "vestibular schwannoma", "acoustic neuroma"),
    COCHLEA: ("cochleae?",),
    IGNORED: ("external", "skull", "body"),
}
"""Regular expressions that the whole name must match, in any case of letters. Seen in Vestibular-Schwannoma-SEG:
TV, tv, AN, VS, Vol2016, Cochlea, cochlea."""


def read_names(path: Path) -> dict[str, tuple[str, ...]]:
    """The table above with what a YAML file adds: `vs`, `cochlea` and `ignore`, each a list of expressions.

    Raises InputError where the file cannot be read, has another key, or an expression is none.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read as YAML ({first})") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: expected {', '.join(NAMES)}, each with a list of names")

    names = dict(NAMES)
    for structure, added in content.items():
        if structure not in names:
            raise InputError(f"{path}: expected one of {', '.join(names)}, got {structure!r}")
        if not isinstance(added, list):
            raise InputError(f"{path}: {structure} must be a list of names, got {added!r}")
        for expression in added:
            try:
                re.compile(str(expression))
            except re.error as error:
                raise InputError(f"{path}: {expression!r} of {structure} is no expression ({error})") from error
        names[structure] += tuple(str(expression) for expression in added)
    return names


def structure_of(name: str, names: Mapping[str, Sequence[str]]) -> str | None:
    """What a name stands for; None where no expression matches it, or those of two structures do."""
    found = set()
    for structure, expressions in names.items():
        for expression in expressions:
            if re.fullmatch(expression, name.strip(), re.IGNORECASE):
                found.add(structure)
    return found.pop() if len(found) == 1 else None


def match_names(given: Iterable[str], names: Mapping[str, Sequence[str]], where: Path) -> dict[str, str]:
    """Which structure each name stands for.

    Args:
        given: Names in a file.
        names: Expressions by structure.
        where: The file, for messages.

    Returns:
        Structure -> the name it has there; what is ignored is left out.

    Raises:
        InputError: A name stands for nothing known, two stand for one structure, or there is no tumour.
    """
    matched: dict[str, str] = {}
    all_names = list(given)
    told = "tell what it is by --names"
    for name in all_names:
        structure = structure_of(name, names)
        if structure is None:
            raise InputError(f"{where}: structure {name!r} is not known; {told}")
        if structure == IGNORED:
            continue
        if structure in matched:
            raise InputError(f"{where}: both {matched[structure]!r} and {name!r} are taken for {structure}; {told}")
        matched[structure] = name
    if TUMOUR not in matched:
        shown = ", ".join(map(repr, all_names)) or "nothing"
        raise InputError(f"{where}: has no tumour among its structures, which are {shown}; {told}")
    return matched
