"""Options that several commands of the evaluation share, beside those of `vestibule.commands.options`."""

from __future__ import annotations

from collections.abc import Callable

import click

from evaluation.failed_teams import EMPTY, LAST, OUT, FailedRule
from evaluation.metrics import MODES, Mode


def mode_option(default: Mode = "default", envvar: str | None = None) -> Callable:
    """`--mode`, which gives the parameter `mode`.

    `envvar` names an environment variable that stands in for the option.
    """
    return click.option(
        "--mode",
        type=click.Choice(MODES),
        default=default,
        show_default=True,
        envvar=envvar,
        help="Which ASSD: of all distances pooled, or as the challenge defines it.",
    )


def intrameatal_option() -> Callable:
    """`--intrameatal`, which gives the parameter `intrameatal`: "1" or "2", for `Edition.with_intrameatal`."""
    return click.option(
        "--intrameatal",
        type=click.Choice(["1", "2"]),
        default="2",
        show_default=True,
        help="Label of the tumour's part inside the canal, in 2023.",
    )


def views_option(default: int) -> Callable:
    """`--views`, which gives the parameter `views`."""
    return click.option(
        "--views",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        help="How many cases, the worst, can be opened in the report.",
    )


def failed_option(rules: tuple[FailedRule, ...]) -> Callable:
    """`--failed`, which gives the parameter `failed`: what becomes of teams that cannot be ranked, one of `rules`."""
    meanings = {
        LAST: "last: behind all others",
        OUT: "out: left out, as the organisers' code does",
        EMPTY: "empty: each missing mask counts as an empty one",
    }
    listed = "; ".join(meanings[rule] for rule in rules)
    return click.option(
        "--failed",
        type=click.Choice(rules),
        default=LAST,
        show_default=True,
        help=f"Teams that lack a usable score: {listed}.",
    )


def bootstraps_option() -> Callable:
    """`--bootstraps` and `--seed`, which give the parameters `bootstraps` and `seed`."""
    count = click.option(
        "--bootstraps",
        type=click.IntRange(min=0),
        default=1000,
        show_default=True,
        help="How often the cases are resampled, for the interval of places.",
    )
    seed = click.option(
        "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the sampled cases."
    )

    def both(command: Callable) -> Callable:
        return count(seed(command))

    return both
