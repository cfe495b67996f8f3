"""The `vestibule` command: groups are imported only when they are called, so that `--help` needs no torch."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import shlex
import sys
import threading
from pathlib import Path
from typing import Any

import click

from vestibule import __version__, logs, stopping
from vestibule.errors import InputError
from vestibule.memory import memory_shortage
from vestibule.terminal import accept_any_text
from vestibule.text import shown

logger = logging.getLogger(__name__)

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
    "doctor": ("vestibule.commands.doctor:doctor", "Look at this machine: what is here, what is wrong, what to do."),
    "weights": ("vestibule.commands.weights:weights", "Show, verify, export or import weights."),
}

EXTRAS = ("training", "evaluation")
"""Our packages that need more than `vestibule` alone, each called as the extra that installs it."""


FURTHER_EXTRAS = {
    "pydicom": "dicom",
    "highdicom": "dicom",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "huggingface_hub": "hf",
    "monai": "monai",
    "submitit": "cluster",
}
"""Packages of others that a single option or format needs, with the extra that installs each."""
SHARED = ("monai",)
"""Those that come with the extra of `training`, too."""


class MissingPackageError(click.ClickException):
    """A package is not installed; exit code 2, as it is no fault of the input."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group whose commands are modules, imported when one is called. Its own options may stand behind a command."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Bring the group's own options before the command's name, wherever they stand."""
        own, others = self._split(list(args), context)
        return super().parse_args(context, own + others)

    def _split(self, args: list[str], context: click.Context) -> tuple[list[str], list[str]]:
        options: dict[str, click.Option] = {}
        for parameter in self.get_params(context):
            # --help and --version ask for an answer where they stand.
            if isinstance(parameter, click.Option) and not parameter.is_eager:
                options |= dict.fromkeys(parameter.opts, parameter)

        own: list[str] = []
        others: list[str] = []
        while args:
            word = args.pop(0)
            if word == "--":
                others += [word, *args]
                break
            option = options.get(word.partition("=")[0])
            if option is None:
                others.append(word)
                continue
            own.append(word)
            if option.is_flag or "=" in word:
                continue
            # It would take the command's name for its value.
            if not args:
                raise click.BadOptionUsage(word, f"Option '{word}' requires an argument.", context)
            own.append(args.pop(0))
        return own, others

    def invoke(self, context: click.Context) -> Any:
        """Run a command. Where a package is missing that it needs, say in one line how to install it."""
        try:
            return super().invoke(context)
        except ModuleNotFoundError as error:
            _refuse_missing_package(error, context.invoked_subcommand or "")
            raise

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of the commands that are installed, in the table's order."""
        return [name for name, (target, _) in COMMANDS.items() if _is_installed(target)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command; None where there is none of that name."""
        if name not in self.list_commands(context):
            return None
        target, _ = COMMANDS[name]
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ModuleNotFoundError as error:
            _refuse_missing_package(error, name)
            raise

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        rows = []
        for name in self.list_commands(context):
            _, line = COMMANDS[name]
            rows.append((name, line))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _refuse_missing_package(error: ModuleNotFoundError, command: str) -> None:
    """Raise MissingPackageError that says how to install what `command` lacks, unless that is a module of ours."""
    missing = (error.name or "").partition(".")[0]
    if not missing or missing in logs.PACKAGES or command not in COMMANDS:
        return
    target, _ = COMMANDS[command]
    package = target.partition(".")[0]
    # An extra is called as the package that needs it.
    extra = FURTHER_EXTRAS.get(missing)
    if package in EXTRAS and (extra is None or missing in SHARED):
        extra = package
    wanted = f"vestibule[{extra}]" if extra else "vestibule"
    raise MissingPackageError(
        f"vestibule {command}: the package {missing} is not installed; run: pip install '{wanted}'"
    ) from error


def _is_installed(target: str) -> bool:
    """Whether the package of a target is there, without importing it."""
    package = target.partition(".")[0]
    return importlib.util.find_spec(package) is not None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vestibule")
@click.option("-v", "--verbose", is_flag=True, help="Tell details on stderr, with the place in the code of a failure.")
@click.option("-q", "--quiet", is_flag=True, help="Tell warnings, errors and what was asked for alone: no progress.")
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Add all messages to this file, too.")
@click.pass_context
def cli(context: click.Context, verbose: bool, quiet: bool, log_file: Path | None) -> None:
    """Segment vestibular schwannoma and cochlea on T2 MRI, trained on labelled contrast-enhanced T1.

    For research and challenges. Not a medical device: not for diagnosis or treatment.

    The options below may stand before a command or behind it.
    """
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    if not logs.is_started():
        context.call_on_close(logs.stop)
    level = logging.INFO
    if verbose:
        level = logging.DEBUG
    elif quiet:
        level = logging.WARNING
    logs.start(level, log_file)
    logger.debug("vestibule %s: %s", __version__, shlex.join(sys.argv))


def main(command: click.Command = cli) -> None:
    """Run `command`.

    Exit codes: 0 done, 1 failed (last stderr line: cause and file), 2 wrong usage, 130 stopped by Ctrl-C, 143 by
    SIGTERM.
    """
    logs.start()
    threading.excepthook = _leave_disk_errors
    try:
        with stopping.handled():
            _run(command)
    finally:
        logs.stop()


def _run(command: click.Command) -> None:
    accept_any_text()
    try:
        command(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except MissingPackageError as error:
        fail(error.message, error.exit_code)
    except click.ClickException as error:
        error.show()
        logger.error("%s", error.format_message(), extra=logs.FILE_ONLY)
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        # click makes one of the other.
        if isinstance(error.__cause__, EOFError):
            fail(f"a file ends too early ({error.__cause__})")
        logger.error("stopped by a signal", extra=logs.FILE_ONLY)
        stopping.end()
    except InputError as error:
        fail(str(error))
    except BrokenPipeError:
        # Whoever read along has gone; Python's own flush at the end must not complain of it.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        lacking = _lacking(error)
        if lacking is not None:
            fail(lacking)
        # A mistake of ours: the traceback goes to stderr by itself.
        logger.critical("ended by a mistake in the code", exc_info=True, extra=logs.FILE_ONLY)
        raise


def _lacking(error: Exception) -> str | None:
    """What of the machine was lacking, in words; None where nothing was."""
    if isinstance(error, OSError):
        return f"{error.filename or 'disk'}: {error.strerror or error}"
    return memory_shortage(error)


def _leave_disk_errors(raised: threading.ExceptHookArgs) -> None:
    """Show what a library's own thread has raised, but for a disk's error, which it raises again in the main thread."""
    if not issubclass(raised.exc_type, OSError):
        threading.__excepthook__(raised)


def fail(message: str, code: int = 1) -> None:
    """Print `message` as one last line on stderr and exit with `code`."""
    one_line = shown(" ".join(message.split()))
    print(f"vestibule: error: {one_line}", file=sys.stderr)
    logger.error("%s", one_line, extra=logs.FILE_ONLY)
    sys.exit(code)
