"""The `vestibule` command: groups are imported only when they are called, so that `--help` needs no torch."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys

import click

from vestibule import __version__, stopping
from vestibule.errors import InputError

# Command -> (where it lives, its line in --help). A container without the training package simply lacks its commands.
COMMANDS = {
    "phantom": ("training.commands.phantom:phantom", "Make a synthetic two-domain data set in the challenge's layout."),
    "implant": ("training.commands.implant:implant", "Put a simulated schwannoma into a real head."),
    "import": ("training.commands.import_data:import_data", "Bring DICOM and open collections into our layouts."),
    "train": ("training.commands.train:train", "Train the stages of the method: run, or one stage at a time."),
    "predict": ("vestibule.commands.predict:predict", "Segment T2 images with a bundle of weights."),
    "evaluate": ("evaluation.commands.evaluate:evaluate", "Score masks against references: Dice and ASSD."),
    "evaluate-teams": (
        "evaluation.commands.evaluate_teams:evaluate_teams",
        "Score and rank all teams of a folder: zips to scores, one ranking, one report.",
    ),
    "screen": ("evaluation.commands.screen:screen", "Name masks that are likely to have failed, without references."),
    "measure": ("evaluation.commands.measure:measure", "Measure tumours and cochleae in masks, and growth."),
    "rank": ("evaluation.commands.rank:rank", "Rank teams as the challenge does; see where you would stand."),
    "statistics": (
        "evaluation.commands.statistics:statistics",
        "Scores by site and tumour size; arms against each other.",
    ),
    "table1": ("evaluation.commands.table1:table1_command", "Set the scores of several arms side by side."),
    "pictures": ("evaluation.commands.pictures:pictures", "Draw results over the images they were made from."),
    "check": ("contract.commands.check:check", "Check masks or an image against the submission contract."),
    "weights": ("vestibule.commands.weights:weights", "Show or verify a bundle of weights."),
}


class LazyGroup(click.Group):
    """A group whose commands are modules, imported when one is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the commands that are installed, in the table's order."""
        return [name for name, (target, _) in COMMANDS.items() if _is_installed(target)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if name not in self.list_commands(context):
            return None
        target, _ = COMMANDS[name]
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        rows = []
        for name in self.list_commands(context):
            _, line = COMMANDS[name]
            rows.append((name, line))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _is_installed(target: str) -> bool:
    """Whether the package of a target is there, without importing it."""
    package = target.partition(".")[0]
    return importlib.util.find_spec(package) is not None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vestibule")
def cli() -> None:
    """Segment vestibular schwannoma and cochlea on T2 MRI, trained on labelled contrast-enhanced T1.

    For research and challenges. Not a medical device: not for diagnosis or treatment.
    """


def main(command: click.Command = cli) -> None:
    """Run `command`.

    Exit codes: 0 done, 1 failed (last stderr line: cause and file), 2 wrong usage, 130 stopped by Ctrl-C, 143 by
    SIGTERM.
    """
    with stopping.handled():
        _run(command)


def _run(command: click.Command) -> None:
    try:
        command(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes one of the other.
        if isinstance(error.__cause__, EOFError):
            fail(f"a file ends too early ({error.__cause__})")
        stopping.end()
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        # Whoever read along has gone; Python's own flush at the end must not complain of it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        fail(f"{error.filename or 'disk'}: {error.strerror or error}")


def fail(message: str, code: int = 1) -> None:
    """Print `message` as one last line on stderr and exit with `code`."""
    one_line = " ".join(message.split())
    print(f"vestibule: error: {one_line}", file=sys.stderr)
    sys.exit(code)
