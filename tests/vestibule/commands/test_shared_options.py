"""Options that several commands have mean the same in all of them."""

import click
import pytest

from vestibule.cli import COMMANDS, cli

ALL = ("evaluate", "evaluate-teams", "measure", "screen", "rank", "statistics", "table1", "pictures", "check")
WITH_IMAGES = ("evaluate", "evaluate-teams", "screen", "pictures", "check")
WITH_WORKERS = ("evaluate", "evaluate-teams", "measure", "screen", "pictures")


def options_of(name: str) -> dict[str, click.Option]:
    command = cli.get_command(click.Context(cli), name)
    return {param.name: param for param in command.params if isinstance(param, click.Option)}


@pytest.mark.parametrize(
    ("option", "names"),
    [("json_path", ALL), ("edition", ALL), ("images", WITH_IMAGES), ("workers", WITH_WORKERS)],
)
def test_an_option_is_the_same_everywhere(option: str, names: tuple) -> None:
    found = [options_of(name)[option] for name in names]
    first, *others = found
    for other in others:
        assert other.opts == first.opts
        assert type(other.type) is type(first.type)
        assert (other.is_flag, other.flag_value, other.multiple) == (first.is_flag, first.flag_value, first.multiple)


def test_every_command_of_the_evaluation_is_among_them() -> None:
    known = {name for name, (target, _) in COMMANDS.items() if target.startswith(("evaluation.", "contract."))}
    assert known == set(ALL)


@pytest.mark.parametrize(("words", "expected"), [(["--json"], "-"), (["--json", "x.json"], "x.json"), ([], "None")])
def test_json_takes_a_file_or_none(words: list, expected: str) -> None:
    command = cli.get_command(click.Context(cli), "rank")
    context = command.make_context("rank", ["scores.csv", *words])
    assert str(context.params["json_path"]) == expected
    assert context.params["scores"] == ("scores.csv",)
