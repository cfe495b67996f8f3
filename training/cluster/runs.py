"""The folders of the runs of a submission: where each lies, and the configuration that its jobs are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from training.cluster.graph import Run
from training.config import read_config
from training.runner import check_run, keep_in_mind, plan_status
from vestibule.errors import InputError
from vestibule.files import write_json

CONFIG = "config.yaml"
"""File in a run's folder: the configuration as it was submitted. Later changes to the original are not read."""


def runs_of(configs: Sequence[Path], seeds: Sequence[int], root: Path) -> list[Run]:
    """The runs of some configurations, each with every seed.

    Args:
        configs: YAML files, or names of installed configurations.
        seeds: In place of the configurations' own; none: as they say.
        root: Folder of the run, where there is one; of several, the folder that holds theirs.

    Returns:
        The runs, named after their files and seeds.

    Raises:
        InputError: A configuration is wrong, or two would have one name.
    """
    runs: dict[str, Run] = {}
    for path in configs:
        config = read_config(path)
        for seed in seeds or (None,):
            own = config
            name = Path(path).stem
            if seed is not None:
                own = replace(config, seed=seed)
                name = f"{name}_seed_{seed}"
            if name in runs:
                raise InputError(f"{path}: another configuration or seed is called {name!r} too; rename the file")
            runs[name] = Run(name, own, root / name)
    if len(runs) == 1:
        ((name, run),) = runs.items()
        return [Run(name, run.config, root)]
    return list(runs.values())


def make_ready(runs: Sequence[Run], data: Path | None, named: dict[str, str]) -> None:
    """Make the folders of the runs, and refuse what their stages would refuse.

    Args:
        runs: All runs of a submission.
        data: Folder of the training data, where it is told.
        named: Folders within it by role.

    Raises:
        InputError: What any of the runs refuses, all of it.
    """
    faults: list[str] = []
    for run in runs:
        try:
            keep_in_mind(data, named, run.config, run.folder)
            check_run(run.config, run.folder)
        except InputError as fault:
            told = str(fault)
            if told not in faults:
                faults.append(told)
    if faults:
        raise InputError("; ".join(faults))
    for run in runs:
        plan_status(run.config, run.folder)
        values = asdict(run.config)
        # JSON is YAML.
        write_json(run.folder / CONFIG, values)
