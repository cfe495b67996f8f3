"""The choice of post-processing: folds, mirroring and connected parts, on held-back cases of the segmenter's domain.

No label of T2 is read, but by the upper bound. What is not surely better than the default is not chosen, and nothing is
where too few cases were held back.
"""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path

from training.arms import Arm, arms_of
from training.config import PostprocessingConfig, RunConfig
from training.data.slices import PreparedCase, read_cases
from training.nnunet.trained import load_segmenter
from training.postprocessing.candidates import Inference, in_words, inferences, rules_of
from training.postprocessing.choice import best_of, failures, mean_assd_mm, mean_dice
from training.postprocessing.held_back import held_back
from training.postprocessing.measure import Rules, Scores, measure, scores_from_json, scores_to_json
from training.postprocessing.scores import Score
from training.run_folder import REPORT
from training.stage_table import POSTPROCESSING
from vestibule.components import ComponentRule
from vestibule.editions import get_edition
from vestibule.files import atomic, read_json, write_json, write_text

CHOICE = "choice.json"
"""What was chosen for each segmenter, by the name of its stage."""
TABLE = "scores.csv"
"""Scores of all candidates."""
COLUMNS = ("stage", "inference", "structure", "parts", "cases", "failures", "dice", "assd_mm", "chosen")
ALL_PARTS = ComponentRule()
"""The rule where none is chosen."""

Measured = dict[Inference, Scores]
"""Scores of all candidates for one segmenter, the configured way first."""


def choose(config: RunConfig, run_dir: Path) -> list[Path]:
    """Score all candidates on the held-back cases, and choose for each segmenter of the run's arms.

    Args:
        config: Its sections `postprocessing`, `segmenter`, `arms` and `edition`, and the seed.
        run_dir: Folder of a run whose segmenters are trained.

    Returns:
        Paths of the choice, the table of scores and the report.

    Raises:
        InputError: A stage whose cases or weights are needed is not done.
    """
    folder = POSTPROCESSING.folder(run_dir)
    choices: dict[str, dict] = {}
    lines: list[str] = []
    rows: list[tuple] = []
    for arm in arms_of(config.arms):
        name = arm.segmenter.name
        # Arms may share a segmenter.
        if name in choices or arm.learns_from is None:
            continue
        cases = _cases_of(arm, config, run_dir)
        measured = _measure(arm, cases, config, run_dir)
        choice, told = _choose_for(name, cases, measured, _settings(config))
        choices[name] = choice
        lines += told
        rows += _rows(name, measured, choice)

    paths = [folder / CHOICE, folder / TABLE, folder / REPORT]
    write_json(folder / CHOICE, choices)
    _write_table(folder / TABLE, rows)
    text = "\n".join(lines)
    write_text(folder / REPORT, f"{text}\n")
    return paths


def read_choice(run_dir: Path, segmenter: str) -> dict | None:
    """What was chosen for a segmenter, by the name of its stage; None where nothing was."""
    choices = read_json(POSTPROCESSING.folder(run_dir) / CHOICE)
    if choices is None:
        return None
    return choices.get(segmenter)


def _settings(config: RunConfig) -> PostprocessingConfig:
    """The stage's own section. Raises ValueError where the configuration has none."""
    if config.postprocessing is None:
        raise ValueError("the configuration has no section 'postprocessing'")
    return config.postprocessing


def _cases_of(arm: Arm, config: RunConfig, run_dir: Path) -> list[PreparedCase]:
    """The held-back cases of an arm's segmenter, each once: altered copies of a case are left out."""
    if arm.learns_from is None:
        return []
    stage, domain = arm.learns_from
    labelled = read_cases(run_dir, domain, stage)
    cases: dict[Path | None, PreparedCase] = {}
    for case in held_back(labelled, config.segmenter.held_back, config.seed):
        # The case itself stands before its copies in the index.
        cases.setdefault(case.label_path, case)
    return list(cases.values())


def _measure(arm: Arm, cases: list[PreparedCase], config: RunConfig, run_dir: Path) -> Measured:
    """Scores of every candidate; those that an interrupted run has left are read."""
    edition = get_edition(config.edition)
    settings = _settings(config)
    rules: Rules = {}
    for structure in edition.structures:
        rules[structure] = rules_of(structure, edition, settings)

    measured = {}
    ways = inferences(config.segmenter, settings)
    for number, way in enumerate(ways):
        name = f"{arm.segmenter.name}_{number}.json"
        path = POSTPROCESSING.folder(run_dir) / "measured" / name
        kept = read_json(path)
        if kept is None:
            weights = arm.segmenter.folder(run_dir)
            segmenter = load_segmenter(config, weights, way.folds, way.mirrored)
            scores = measure(segmenter, cases, rules, edition, POSTPROCESSING.name)
            kept = scores_to_json(scores)
            write_json(path, kept)
        measured[way] = scores_from_json(kept, rules)
    return measured


def _choose_for(
    name: str, cases: list[PreparedCase], measured: Measured, settings: PostprocessingConfig
) -> tuple[dict, list[str]]:
    """The choice for one segmenter, and lines that tell what was chosen and why."""
    lines = []
    way, told = _best_way(measured, len(cases), settings)
    lines.append(f"{name}: {told}")

    components = {}
    for structure, candidates in measured[way].items():
        rule, told = _best_rule(candidates, settings)
        lines.append(f"{name}, {structure}: {told}")
        if rule != ALL_PARTS:
            components[structure] = asdict(rule)

    names = [case.name for case in cases]
    choice = {
        "folds": list(way.folds),
        "mirrored": way.mirrored,
        "components": components,
        "held_back": names,
    }
    return choice, lines


def _best_way(measured: Measured, count: int, settings: PostprocessingConfig) -> tuple[Inference, str]:
    """The way to run the network, and in words why; `count` is the number of held-back cases."""
    default = next(iter(measured))
    if count < settings.min_cases:
        few = _too_few(count, settings)
        return default, f"{few}; {default}, as configured"
    pooled = _pooled(measured)
    way = best_of(pooled, default)
    why = "surely better than what is configured"
    if way == default:
        why = "nothing was surely better"
    return way, f"{way} ({why}; {count} held-back cases)"


def _best_rule(
    candidates: dict[ComponentRule, list[Score]], settings: PostprocessingConfig
) -> tuple[ComponentRule, str]:
    """The rule for the parts of a structure, and in words what it is chosen on."""
    count = len(candidates[ALL_PARTS])
    if count < settings.min_cases:
        few = _too_few(count, settings)
        return ALL_PARTS, f"{few}; all parts stay"
    rule = best_of(candidates, ALL_PARTS)
    words = in_words(rule)
    return rule, f"{words} ({count} held-back cases)"


def _pooled(measured: Measured) -> dict[Inference, list[Score]]:
    """Scores of all structures with all of their parts: the way to run the network is one for all."""
    pooled: dict[Inference, list[Score]] = {}
    for way, scores in measured.items():
        pooled[way] = []
        for candidates in scores.values():
            pooled[way] += candidates[ALL_PARTS]
    return pooled


def _too_few(count: int, settings: PostprocessingConfig) -> str:
    return f"{count} held-back cases are fewer than postprocessing.min_cases, {settings.min_cases}"


def _rows(name: str, measured: Measured, choice: dict) -> list[tuple]:
    """Rows of the table of scores for one segmenter."""
    chosen_way = Inference(tuple(choice["folds"]), choice["mirrored"])
    rows = []
    for way, scores in measured.items():
        for structure, candidates in scores.items():
            values = choice["components"].get(structure, {})
            chosen_rule = ComponentRule(**values)
            for rule, found in candidates.items():
                if not found:
                    continue
                is_chosen = way == chosen_way and rule == chosen_rule
                row = _row(name, way, structure, rule, found, is_chosen)
                rows.append(row)
    return rows


def _row(name: str, way: Inference, structure: str, rule: ComponentRule, scores: list[Score], is_chosen: bool) -> tuple:
    """What the table says of a candidate, in the order of `COLUMNS`."""
    dice = mean_dice(scores)
    assd_mm = mean_assd_mm(scores)
    distance = ""
    if assd_mm is not None:
        distance = f"{assd_mm:.3f}"
    return (
        name,
        str(way),
        structure,
        in_words(rule),
        len(scores),
        failures(scores),
        f"{dice:.4f}",
        distance,
        "yes" if is_chosen else "",
    )


def _write_table(path: Path, rows: list[tuple]) -> None:
    with atomic(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
