"""`vestibule train`: the stages of the method, chained or one at a time."""

from __future__ import annotations

from pathlib import Path

import click

from training.commands.data_options import Command, data_options
from training.commands.train_status import status
from training.commands.train_submit import submit
from training.stage_table import STAGES, Stage
from vestibule.commands.options import claim, json_option, write_result
from vestibule.errors import InputError
from vestibule.logs import say


class StageGroup(click.Group):
    """A group that has a command for every row of the table of stages, besides those that are added to it."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Names of all commands, the stages' after the others."""
        return [*super().list_commands(context), *STAGES]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command called `name`; None where there is none."""
        return _stage_command(STAGES[name]) if name in STAGES else super().get_command(context, name)


@click.group(cls=StageGroup)
def train() -> None:
    """Train the stages of the method.

    What is finished is kept. A stage that is done and unchanged is skipped, and one that was interrupted goes on from
    its last checkpoint. A stage is made again only where something that it reads, or a key that changes its result,
    has changed. The run then names it, and moves what was there to RUN/old: it deletes nothing. A key that changes no
    result, such as checkpoint_every, makes nothing again.
    """


train.add_command(submit)
train.add_command(status)

AFTER_A_STAGE = "What was finished is skipped, resumed or moved to RUN/old, never deleted: see vestibule train --help."
"""Below the help of whatever runs stages."""


def _config_option(command: Command) -> Command:
    return click.option(
        "--config",
        "config_path",
        required=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="YAML configuration, or the name of an installed one, such as phantom.",
    )(command)


def _run_options(command: Command) -> Command:
    command = click.option(
        "--run", "run_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the run."
    )(command)
    return _config_option(command)


def _options(command: Command) -> Command:
    return _run_options(data_options(command))


@train.command(epilog=AFTER_A_STAGE)
@_options
def run(config_path: Path, run_dir: Path, data: Path | None, folders: dict[str, str]) -> None:
    """Run every stage of the configuration, in order.

    Before the first one begins, all that any of them would refuse is named.
    """
    _run(config_path, run_dir, data, folders, None)


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--scores", required=True, type=click.Path(path_type=Path), help="What `vestibule table1 --json` wrote.")
@click.option("--cases", required=True, type=click.IntRange(min=1), help="Number of cases behind the scores.")
def publish(run_dir: Path, out: Path, scores: Path, cases: int) -> None:
    """Write the bundle of a finished RUN to OUT, with its scores in manifest and model card."""
    from training.stages.export import publish as write

    write(run_dir, scores, cases, out)
    say(f"bundle with scores in {out}")


@train.command()
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@_config_option
@data_options
@click.option(
    "--run",
    "run_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="In place of --data, a run that has prepared its cases: quicker.",
)
@click.option("--case", "wanted", multiple=True, help="Show this case; may be repeated.  [default: some of all]")
@click.option("--cases", type=click.IntRange(1, 40), default=8, show_default=True, help="Cases, where none is named.")
@click.option("--slices", type=click.IntRange(1, 200), default=5, show_default=True, help="Slices of each case.")
def slices(
    out: Path,
    config_path: Path,
    data: Path | None,
    folders: dict[str, str],
    run_dir: Path | None,
    wanted: tuple[str, ...],
    cases: int,
    slices: int,
) -> None:
    """Plot T2 slices to OUT (PNG), to choose the reference slice from.

    Around the likely level of the inner ears, which is told without labels. Names and numbers are those
    of `reference.case` and `reference.slice`.
    """
    if (data is None) == (run_dir is None):
        raise click.UsageError("give either --data or --run")
    from training.config import read_config
    from training.diagnostics.reference_candidates import plot_candidates

    found = plot_candidates(read_config(config_path), out, data, run_dir, folders, wanted, cases, slices)
    for shown in found:
        numbers = ", ".join(map(str, shown.slices))
        click.echo(f"case: {shown.case}  slices {numbers}  likely level {shown.level}")
    click.echo(f"sheet in {out}; copy a name and a number into reference.case and reference.slice")


@train.command()
@_run_options
@click.option(
    "--ignore-outline",
    is_flag=True,
    help="Choose as if the reference slice's tumour were not outlined, as where no label of T2 may be used.",
)
def sweep(config_path: Path, run_dir: Path, ignore_outline: bool) -> None:
    """Try every level of the harmoniser on a few tumours, choose one, and plot a sheet to look at.

    With SinGAN levels are the scales n*. Needs no label of T2 but, where there is one, the outline of the tumour in the
    reference slice. Needs the stages before transfer. Writes RUN/sweep/sweep.json and sweep.png.
    """
    from training.config import read_config
    from training.diagnostics.choose_scale import FOLDER
    from training.diagnostics.choose_scale import sweep as measure

    _claim(run_dir, FOLDER)
    record, sheet = measure(read_config(config_path), run_dir, ignore_outline)
    click.echo(record.read_text(encoding="utf-8"))
    say(f"sheet in {sheet}")


@train.command()
@_config_option
@data_options
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="A new folder on the disk that the run will have, or an earlier rehearsal's; it is kept.  [default: a "
    "temporary one]",
)
@click.option("--steps", type=click.IntRange(min=3), default=6, show_default=True, help="Iterations of each GAN.")
@json_option("what the run will take")
def rehearse(
    config_path: Path,
    data: Path | None,
    folders: dict[str, str],
    scratch: Path | None,
    steps: int,
    json_path: Path | None,
) -> None:
    """Run every stage for a few steps, and tell what would fail and what the run will take on this machine.

    Networks and images are of the run's own size; cases are few. For each stage: how long it will last, the memory
    and the disk that it needs. Exit code 1 where a stage would fail.
    """
    from training.config import read_config
    from training.rehearsal.rehearse import rehearse as try_out
    from training.rehearsal.report import lines_of

    found = try_out(read_config(config_path), data, folders, scratch, steps, say)
    if write_result(json_path, found.as_dict()):
        for line in lines_of(found):
            click.echo(line)
    if found.failures:
        first = found.failures[0]
        raise InputError(f"stage {first.stage!r} would fail: {first.failure}")


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
def evidence(run_dir: Path) -> None:
    """Measure whether tumours survive: contrast in every intermediate of a finished RUN, and what S_A predicts.

    Writes RUN/evidence/evidence.json and evidence.md.
    """
    from training.diagnostics.contrast_report import FOLDER, write_contrast_report

    _claim(run_dir, FOLDER)
    _, table = write_contrast_report(run_dir)
    click.echo(table.read_text(encoding="utf-8"))


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@json_option("what was found")
def verify(run_dir: Path, json_path: Path | None) -> None:
    """Read every file that finished stages of RUN have left, and name those that are damaged, missing or foreign.

    Foreign is a file in a stage's folder that the stage did not leave. Exit code 1 where there is one of these.
    """
    from training.verification import verify_run

    found = verify_run(run_dir)
    if write_result(json_path, found.as_dict()):
        for stage, count in found.verified.items():
            click.echo(f"{stage}: {count} files read")
        for stage in found.unfinished:
            click.echo(f"{stage}: not finished, so that nothing tells what its files should hold")
        for fault in found.faults:
            click.echo(f"{fault.kind}: {run_dir / fault.file} {fault.detail}")
    if found.faults:
        first = found.faults[0]
        raise InputError(
            f"{run_dir}: files that are not as their stages left them: {len(found.faults)}, the first {first.kind}: "
            f"{first.file}; delete the folder of its stage, and run the stage and those after it again"
        )


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--case", required=True, help="Name of a T1 case, or of a T2 case, unseen or not.")
@click.option("--slices", type=click.IntRange(min=1), default=1, show_default=True, help="Sections, the largest first.")
def figure(run_dir: Path, out: Path, case: str, slices: int) -> None:
    """Plot a case of a finished RUN to OUT (PNG), as Figures 2 and 3 of the paper do."""
    from training.diagnostics.figure import plot_case

    plot_case(run_dir, case, out, slices)
    say(f"{case} in {out}")


def _claim(run_dir: Path, folder: str) -> None:
    """Write alone to a folder of a run; that there is no such run is told by what reads it."""
    if run_dir.is_dir():
        claim(run_dir / folder)


def _run(
    config_path: Path,
    run_dir: Path,
    data: Path | None,
    folders: dict[str, str],
    only: Stage | None,
    part: str | None = None,
) -> None:
    from training.config import read_config
    from training.runner import run_stages

    run_stages(read_config(config_path), run_dir, data, only, say, folders, part)


def _stage_command(stage: Stage) -> click.Command:
    @_options
    @click.option("--part", help="Make this part alone, such as fold_0, while others make other parts.")
    def command(config_path: Path, run_dir: Path, data: Path | None, folders: dict[str, str], part: str | None) -> None:
        _run(config_path, run_dir, data, folders, stage, part)

    return click.command(stage.name, help=stage.title, epilog=AFTER_A_STAGE)(command)
