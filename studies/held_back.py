"""How good are the arms on phantoms that no choice was made on? The bundles of `studies/arms.py`, on a population anew.

    python studies/held_back.py runs/arms --config configs/phantom.yaml --out runs/held_back

Which arm, how many rounds and what to fit were chosen by the scores of one set of unseen phantoms. Here each run's
bundle segments phantoms of another seed, once. What is scored stays: the same command scores what is missing.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from arms_report import Runs, report
from experiment import link, make_population, provenance, publish, remembered, score_model

from training.config import RunConfig, read_config
from training.run_folder import read_outputs
from training.stage_table import EXPORT, PHANTOM
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.files import file_sha256
from vestibule.manifest import MANIFEST_NAME
from vestibule.pipeline import load_model

SEEDS = "seed_"
"""How folders of a seed's runs begin."""


def main() -> None:
    """Predict, score and print the section."""
    arguments = parse()
    try:
        config = held_back(read_config(arguments.config), arguments.seed, arguments.cases)
        make_population(config, arguments.out / "population", print)
        run_dirs = runs_of(arguments.runs)
        found: dict[str, Runs] = {}
        for run_dir in run_dirs:
            seed = int(run_dir.parent.name.removeprefix(SEEDS))
            found.setdefault(run_dir.name, {})["", seed] = scored(run_dir, config, arguments.out)
    except InputError as error:
        raise SystemExit(f"held_back: error: {error}") from error
    section = ["## The arms on held-back phantoms", "", *report(found), "", *provenance(run_dirs)]
    publish(section, "held-back phantoms", arguments.out, arguments.page)


def held_back(config: RunConfig, seed: int, cases: int) -> RunConfig:
    """`config` with phantoms of another seed, as many unseen ones as `cases`.

    Raises InputError where it makes no phantoms, or makes the same.
    """
    if config.phantom is None:
        raise InputError(f"{config.name}: held-back phantoms need a configuration that makes phantoms")
    if seed == config.seed:
        raise InputError(f"seed {seed} is that of {config.name}: its phantoms are not held back; give another --seed")
    phantom = replace(config.phantom, cases=1, validation=cases)
    return replace(config, seed=seed, phantom=phantom)


def runs_of(root: Path) -> list[Path]:
    """Folders of the finished runs of `studies/arms.py`, by seed and line. Raises InputError where there is none."""
    found = []
    for bundle in sorted(root.glob(f"{SEEDS}*/*/{EXPORT.name}/bundle")):
        found.append(bundle.parents[1])
    if not found:
        raise InputError(f"{root}: holds no finished run; give the folder that was --out of studies/arms.py")
    return found


def scored(run_dir: Path, config: RunConfig, out: Path) -> dict:
    """`rows` of scores of a run's bundle on the held-back phantoms, kept in `found.json` beside masks and scores."""
    bundle = EXPORT.folder(run_dir) / "bundle"
    population = out / "population"
    folder = out / run_dir.parent.name / run_dir.name
    link(population, folder, (PHANTOM,))

    def measure() -> dict:
        model = load_model(bundle, device="cpu")
        return {"rows": score_model(model, folder, model.arm, get_edition(config.edition))}

    manifest = file_sha256(bundle / MANIFEST_NAME)
    made_from = {"bundle": manifest, "population": read_outputs(population, PHANTOM)}
    return remembered(folder / "found.json", made_from, measure)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder that was --out of studies/arms.py")
    parser.add_argument("--config", type=Path, required=True, help="the configuration that these runs were made by")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the population, masks, scores and results.md"
    )
    parser.add_argument("--seed", type=int, default=2026, help="of the phantoms, another one than the configuration's")
    parser.add_argument("--cases", type=int, default=40, help="phantoms")
    parser.add_argument("--page", type=Path, help="a page whose section is written as well, such as docs/results.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
