"""Reference pages written from the code: every command from click, every configuration key from the dataclasses.

A page asks for one with a line `<!-- generated: NAME -->`, NAME a key of `GENERATORS`. `make docs` fills it in.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[1]
MARKER = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
EXAMPLES = ("crossmoda2021", "phantom")
"""Configurations in `configs/` whose values stand beside the defaults where they differ."""


def expand(markdown: str) -> str:
    """The text of a page with each of its markers replaced by what is generated for it."""
    return MARKER.sub(lambda marker: GENERATORS[marker.group(1)](), markdown)


def commands_reference() -> str:
    """Every command of `vestibule`: its usage, its help and a table of its options."""
    from vestibule.cli import cli

    parts = []
    for path, command, context in walk_commands(cli):
        heading = "#" * len(path)
        parts.append(f"{heading} {' '.join(path)}\n")
        parts.append(_unwrap(command.help or command.short_help or ""))
        if isinstance(command, click.Group):
            continue
        usage = " ".join(command.collect_usage_pieces(context))
        parts.append(f"```text\n{' '.join(path)} {usage}\n```\n")
        rows = [record for record in (_option_row(option, context) for option in command.params) if record]
        if rows:
            parts.append(_table(("option", "meaning", "default"), rows))
    return "\n".join(parts)


def walk_commands(root: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Every command below `root` as (words to type, command, its context), a group before its members."""
    waiting = [(("vestibule",), root, click.Context(root, info_name="vestibule"))]
    while waiting:
        path, command, context = waiting.pop(0)
        if len(path) > 1:
            yield path, command, context
        if not isinstance(command, click.Group):
            continue
        members = []
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            if member is not None and not member.hidden:
                members.append(((*path, name), member, click.Context(member, parent=context, info_name=name)))
        waiting = members + waiting


def configuration_reference() -> str:
    """Every key of a run's configuration: a heading for each section, a table of its keys below."""
    from training.config import RunConfig, read_config

    examples = [read_config(ROOT / "configs" / f"{name}.yaml") for name in EXAMPLES]
    parts = []
    for where, kind, default in walk_sections(RunConfig):
        title = f"`{where}`" if where else "At the top"
        parts.append(f"{'###' if '.' in where else '##'} {title}\n")
        parts.append(_unwrap(inspect.getdoc(kind) or ""))
        told = field_docstrings(kind)
        rows = []
        for key in dataclasses.fields(kind):
            if section_of(kind, key.name) is not None:
                continue
            path = f"{where}.{key.name}" if where else key.name
            usual = _default(key, default)
            values = [_value_at(example, path) for example in examples]
            # a blank cell is easier to read than the default once more
            cells = ["" if value in (usual, _ABSENT) else _code(value) for value in values]
            rows.append((f"`{path}`", _code(usual), *cells, _one_line(told.get(key.name, ""))))
        parts.append(_table(("key", "default", *EXAMPLES, "meaning"), rows))
    return "\n".join(parts)


def walk_sections(kind: type, where: str = "", default: object = None) -> Iterator[tuple[str, type, object]]:
    """A configuration dataclass and all that its fields hold, as (dotted path, class, default value of the field).

    The section of the harmoniser comes once for each kind of harmoniser.
    """
    from training.config.harmoniser import HarmoniserSettings
    from training.config.reader import settings_of
    from training.harmoniser_table import HARMONISERS

    yield where, kind, default
    for key in dataclasses.fields(kind):
        section = section_of(kind, key.name)
        if section is None:
            continue
        path = f"{where}.{key.name}" if where else key.name
        if section is HarmoniserSettings:
            for name in HARMONISERS:
                yield path, settings_of(name, path), None
            continue
        inner = getattr(default, key.name, None) if default is not None else _default(key, None)
        yield from walk_sections(section, path, inner if dataclasses.is_dataclass(inner) else None)


def section_of(kind: type, name: str) -> type | None:
    """The dataclass that a field holds, or None where it holds a plain value."""
    hint = typing.get_type_hints(kind)[name]
    candidates = [hint, *typing.get_args(hint)]
    for candidate in candidates:
        if dataclasses.is_dataclass(candidate) and isinstance(candidate, type):
            return candidate
    return None


def field_docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a class, by the field's name. Fields without one are left out."""
    told = {}
    for owner in reversed(kind.__mro__):
        if not dataclasses.is_dataclass(owner):
            continue
        source = inspect.getsource(sys.modules[owner.__module__])
        classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
        body = classes[owner.__name__].body
        for field, after in itertools.pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(after):
                told[field.target.id] = inspect.cleandoc(after.value.value)
    return told


GENERATORS: dict[str, Callable[[], str]] = {
    "commands": commands_reference,
    "configuration": configuration_reference,
}
"""What a page can ask for, by name."""

_ABSENT = object()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _option_row(option: click.Parameter, context: click.Context) -> tuple[str, str, str] | None:
    if not isinstance(option, click.Option) or option.hidden:
        return None
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag or option.count else f" {option.make_metavar(context)}"
    default = "" if callable(option.default) or option.is_flag else option.get_default(context, call=False)
    shown = "required" if option.required else _plain_default(default)
    return f"`{names}{value}`", _one_line(option.help or ""), shown


def _plain_default(default: object) -> str:
    # click marks "none given" by None or, in newer versions, by a sentinel of its own
    if default is None or default == "" or type(default).__name__ == "Sentinel" or "UNSET" in repr(default):
        return ""
    if isinstance(default, list | tuple):
        return f"`{' '.join(map(str, default))}`" if default else ""
    return f"`{default}`"


def _default(key: dataclasses.Field, section: object) -> object:
    if section is not None:
        return getattr(section, key.name)
    if key.default is not dataclasses.MISSING:
        return key.default
    if key.default_factory is not dataclasses.MISSING:
        return key.default_factory()
    return _ABSENT


def _value_at(config: object, path: str) -> object:
    for name in path.split("."):
        config = getattr(config, name, _ABSENT)
    return config


def _code(value: object) -> str:
    if value is _ABSENT:
        return "required"
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _unwrap(text: str) -> str:
    # click's \b keeps a paragraph as it is laid out; here that is a block of code
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append("```text\n" + paragraph.lstrip("\b\n") + "\n```")
        else:
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs) + "\n"
