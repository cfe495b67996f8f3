"""Options that tell where the training data lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from vestibule.data_folders import ROLES

Command = Callable[..., None]


def data_options(command: Command) -> Command:
    """Add `--data` and `--folder`, the parameters `data` and `folders`."""
    command = click.option(
        "--folder",
        "folders",
        multiple=True,
        metavar="ROLE=NAME",
        callback=_folders,
        help="Folder of the data that is called otherwise; ROLE is source, target or validation. May be repeated.",
    )(command)
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        help="Folder that holds the challenge's training folders; not for configurations that make phantoms.",
    )(command)


def _folders(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Folders by role, from values ROLE=NAME."""
    folders: dict[str, str] = {}
    for value in given:
        role, _, name = value.partition("=")
        if role not in ROLES or not name:
            raise click.BadParameter(f"expected {'=NAME or '.join(ROLES)}=NAME, got {value!r}", context, option)
        if role in folders:
            raise click.BadParameter(f"{role} is named twice", context, option)
        folders[role] = name
    return folders
