"""`vestibule train`: the stages of the method, chained or one at a time."""

from __future__ import annotations

from pathlib import Path

import click

from vestibule.errors import InputError

STAGE_HELP = {
    "phantom": "Make the run's phantom population.",
    "prepare": "Bring all training images to the working grid.",
    "cyclegan": "Learn phi0: unpaired translation between T1 and T2.",
    "singan": "Learn the one-shot model of a single T2 slice.",
    "transfer": "Copy and harmonise tumours: domain B'.",
    "pix2pix": "Learn phi_B'A: T2 with reinforced tumours to T1.",
    "segmenter": "Train nnU-Net on T1.",
    "blend": "Alter tumours in synthetic T2: the successor's augmentation.",
    "self_training": "Train nnU-Net on synthetic T2, then on its own masks of T2.",
    "supervised": "Train nnU-Net on labelled T2: the upper bound.",
    "export": "Pack the bundle that predicts.",
}


@click.group()
def train() -> None:
    """Train the stages of the method. A stage that is done and unchanged is skipped; a killed one resumes."""


def _run_options(command):
    command = click.option(
        "--run", "run_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the run."
    )(command)
    return click.option(
        "--config",
        "config_path",
        required=True,
        type=click.Path(path_type=Path, dir_okay=False),
        help="YAML configuration.",
    )(command)


def _options(command):
    return _run_options(
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder that holds the challenge's training folders; not for configurations that make phantoms.",
        )(command)
    )


@train.command()
@_options
def run(config_path: Path, run_dir: Path, data: Path | None) -> None:
    """Run every stage of the configuration, in order."""
    _run(config_path, run_dir, data, None)


@train.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--run", "run_dir", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the run."
)
@click.option("--scores", required=True, type=click.Path(path_type=Path), help="What `vestibule table1 --json` wrote.")
@click.option("--cases", required=True, type=click.IntRange(min=1), help="Number of cases behind the scores.")
def publish(out: Path, run_dir: Path, scores: Path, cases: int) -> None:
    """Write the run's bundle to OUT, with its scores in manifest and model card."""
    from training.stages.export import publish as write

    write(run_dir, scores, cases, out)
    click.echo(f"bundle with scores in {out}")


@train.command()
@_run_options
def sweep(config_path: Path, run_dir: Path) -> None:
    """Try every scale n* on a few tumours, choose one without labels of T2, and draw a sheet to look at.

    Needs the stages before transfer. Writes RUN/sweep/sweep.json and sweep.png.
    """
    from training.config import read_config
    from training.diagnostics.choose_scale import sweep as measure

    record, sheet = measure(read_config(config_path), run_dir)
    click.echo(record.read_text(encoding="utf-8"))
    click.echo(f"sheet in {sheet}")


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
def evidence(run_dir: Path) -> None:
    """Measure whether tumours survive: contrast at every station of a finished RUN, and what S_A finds.

    Writes RUN/evidence/evidence.json and evidence.md.
    """
    from training.diagnostics.contrast import evidence as measure

    _, table = measure(run_dir)
    click.echo(table.read_text(encoding="utf-8"))


@train.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--case", required=True, help="Name of a T1 case, or of a T2 case, unseen or not.")
@click.option("--slices", type=click.IntRange(min=1), default=1, show_default=True, help="Sections, the largest first.")
def figure(run_dir: Path, out: Path, case: str, slices: int) -> None:
    """Draw a case of a finished RUN to OUT (PNG), as Figures 2 and 3 of the paper do."""
    from training.diagnostics.figure import draw_case

    draw_case(run_dir, case, out, slices)
    click.echo(f"{case} in {out}")


def _run(config_path: Path, run_dir: Path, data: Path | None, only: str | None) -> None:
    from training.config import read_config
    from training.gan.distributed import from_leader
    from training.runner import run_stage, stages_of, write_json
    from training.stages.prepare import check_reference

    config = read_config(config_path)
    run_dir.mkdir(parents=True, exist_ok=True)
    if data:
        if config.phantom:
            raise InputError(f"{config_path}: makes its own phantoms; --data is for configurations without 'phantom'")
        if not data.is_dir():
            raise InputError(f"{data}: no such folder; --data names the folder with the challenge's training folders")
        from_leader(lambda: write_json(run_dir / "data.json", {"data": str(data.resolve())}))
    names = stages_of(config)
    if only and only not in names:
        raise InputError(f"{config_path}: asks for no stage {only!r}; it has {', '.join(names)}")
    if not only:
        check_reference(config, run_dir)
    for name in [only] if only else names:
        run_stage(name, config, run_dir, click.echo)


def _stage_command(name: str, text: str) -> click.Command:
    @_options
    def command(config_path: Path, run_dir: Path, data: Path | None) -> None:
        _run(config_path, run_dir, data, name)

    command.__doc__ = text
    return click.command(name, help=text)(command)


for _name, _text in STAGE_HELP.items():
    train.add_command(_stage_command(_name, _text))
