"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click

from vestibule.editions import EDITIONS, Edition, edition_of, get_edition
from vestibule.errors import InputError
from vestibule.files import NOT_UTF8, is_printable, printable, write_json
from vestibule.locks import claimed
from vestibule.terminal import has_unicode
from vestibule.text import shown_json

STANDARD_OUTPUT = Path("-")
"""What `--json` without a file stands for."""


class EditionType(click.ParamType):
    """A year of the challenge, turned into its `Edition`. Asks the table when it is used, not when it is imported."""

    name = "year"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Edition:
        """The edition of a year; an edition stays what it is."""
        if isinstance(value, Edition):
            return value
        try:
            return get_edition(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The years that there are, as click shows choices."""
        years = "|".join(str(year) for year in EDITIONS)
        return f"[{years}]"


def edition_option(
    help: str = "The challenge's year; by default the one that the case names tell.", envvar: str | None = None
) -> Callable:
    """`--edition YEAR`, which gives the parameter `edition`: an `Edition`, or None where it is not given.

    `envvar` names an environment variable that stands in for the option.
    """
    return click.option("--edition", type=EditionType(), envvar=envvar, help=help)


def claim(folder: Path) -> None:
    """Let the running command alone write to `folder`, to its end.

    Raises InputError where another one does, or the folder's name is no text, which no image's may be.
    """
    if not is_printable(folder):
        raise InputError(f"{printable(folder)}: {NOT_UTF8}")
    click.get_current_context().with_resource(claimed(folder))


def resolve_edition(given: Edition | None, cases: Iterable[str], where: object) -> Edition:
    """The edition that holds for `cases`: the one that was given, else the one that their names tell.

    Args:
        given: What the user chose, if anything.
        cases: Case names.
        where: Folder or file that the cases come from, for messages.

    Returns:
        The edition.

    Raises:
        InputError: Nothing was given and the names tell none, or they tell one whose labels mean something else than
            those of the edition that was given.
    """
    cases = list(cases)
    told = edition_of(cases)
    if given is None:
        if told is None:
            shown = f", such as {cases[0]!r}," if cases else ""
            years = ", ".join(str(year) for year in EDITIONS)
            raise InputError(
                f"{where}: its case names{shown} do not tell the edition, on which the meaning of labels depends; "
                f"give one with --edition ({years})"
            )
        return told
    if told is not None and told.structures != given.structures:
        raise InputError(
            f"{where}: its cases are called as those of edition {told.year}, whose labels mean something else than "
            f"those of the edition {given.year} that was given; leave out --edition"
        )
    return given


def json_option(what: str = "the result") -> Callable:
    """`--json [FILE]`, which gives the parameter `json_path`; hand it to `write_result`.

    `what` is what the JSON holds, for the help.
    """
    return click.option(
        "--json",
        "json_path",
        # Without a value it is what others take for standard output.
        is_flag=False,
        flag_value=str(STANDARD_OUTPUT),
        metavar="[FILE]",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        help=f"Also write {what} as JSON to FILE; without FILE, print it in place of the text.",
    )


def write_result(json_path: Path | None, document: dict) -> bool:
    """Write `document` where `--json` asks for it.

    Args:
        json_path: What the option gave.
        document: What JSON can hold.

    Returns:
        Whether the result is to be printed for people too: not where standard output has the JSON.

    Raises:
        InputError: The disk refuses.
    """
    if json_path is None:
        return True
    if json_path != STANDARD_OUTPUT:
        write_json(json_path, document)
        return True
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=not has_unicode())
    click.echo(shown_json(text))
    return False


def images_option(help: str = "Folder of the T2 images that were segmented.") -> Callable:
    """`--images FOLDER`, which gives the parameter `images`."""
    return click.option("--images", type=click.Path(path_type=Path), metavar="FOLDER", help=help)


def workers_option(envvar: str | None = None) -> Callable:
    """`--workers N`, which gives the parameter `workers`; without it None, as many as there are cores.

    `envvar` names an environment variable that stands in for the option.
    """
    return click.option(
        "--workers",
        type=click.IntRange(min=1),
        envvar=envvar,
        help="Processes to use; 1: this one.  [default: the cores]",
    )
