"""YAML that may come from anyone: each key once, no deeper and no larger than a configuration can be."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Any

import yaml

LARGEST_BYTES = 1_000_000
"""Of a file; the shipped configurations have less than 4 kB."""
DEEPEST = 20
"""Mappings and lists within each other; the settings have four."""
MOST_VALUES = 100_000
"""Values of a file in which every alias is replaced by what it stands for."""


class StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which by itself takes the last of two equal keys, and bounds nothing."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._values: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """The next node of the file.

        Raises ValueError where it lies too deep, stands for too many values, or has a key twice.
        """
        if self._depth > DEEPEST:
            line = _line_of(self.peek_event())
            raise ValueError(f"line {line}: more than {DEEPEST} mappings and lists within each other")
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is None:
            return None
        if not is_alias:
            self._count(node)
        elif node not in self._values:
            # What it stands for is not whole yet.
            raise ValueError(f"line {_line_of(node)}: holds an alias of itself")
        if isinstance(node, yaml.MappingNode):
            _refuse_doubled(node)
        return node

    def _count(self, node: yaml.Node) -> None:
        """Note how many values a node stands for, its aliases replaced."""
        values = 1
        if isinstance(node, yaml.CollectionNode):
            for child in _children(node):
                values += self._values[child]
        if values > MOST_VALUES:
            raise ValueError(f"line {_line_of(node)}: stands for more than {MOST_VALUES} values")
        self._values[node] = values


# YAML 1.2 takes 1e-4 for a number, PyYAML for a text.
SHORT_EXPONENT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$")
StrictLoader.add_implicit_resolver("tag:yaml.org,2002:float", SHORT_EXPONENT, list("-+0123456789"))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises OSError where it cannot be read, yaml.YAMLError where it is not YAML, and ValueError, naming the line, where
    it is not UTF-8, too large or too deep, or where a key stands twice.
    """
    path = Path(path)
    # A pipe would be waited for without end.
    if path.exists() and not path.is_file():
        raise ValueError("not a file")
    with path.open("rb") as stream:
        content = stream.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"has more than {LARGEST_BYTES} bytes, so it is not a configuration")

    loader = StrictLoader(_decode(content))
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _decode(content: bytes) -> str:
    """The text of a file. Raises ValueError, naming the encoding where it can be told, for one that is not UTF-8."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError("is in UTF-16; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = content[error.start]
        raise ValueError(f"line {line}: byte 0x{found:02x} is not UTF-8; save the file as UTF-8") from error


def _children(node: yaml.CollectionNode) -> list[yaml.Node]:
    """Keys and values of a mapping, or items of a list."""
    if isinstance(node, yaml.SequenceNode):
        return node.value
    children = []
    for key, value in node.value:
        children += [key, value]
    return children


def _refuse_doubled(mapping: yaml.MappingNode) -> None:
    """Raise ValueError where a key stands twice in one mapping, naming both lines."""
    lines: dict[str, int] = {}
    for key, _ in mapping.value:
        line = _line_of(key)
        name = str(key.value)
        if name in lines:
            raise ValueError(f"line {line}: key {name!r} stands twice, first in line {lines[name]}; write it once")
        lines[name] = line


def _line_of(place: Any) -> int:
    """The line that a node or an event of the file begins in, from 1 on."""
    return place.start_mark.line + 1
