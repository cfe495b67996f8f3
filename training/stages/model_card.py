"""The page that goes with a bundle: what the weights are, how they score, and what they are not for."""

from __future__ import annotations

from dataclasses import asdict

from training.arms import ARMS, Arm
from training.config import SelfTrainingConfig
from training.stage_table import SELF_TRAINING

PHANTOM_LIMITS = (
    "The networks have seen nothing but synthetic heads at a coarse working resolution. On images of people "
    "their masks mean nothing."
)


def model_card(manifest: dict) -> str:
    """A Markdown page on what the weights are, what they were trained on, how they score and what they are not for.

    Each arm of the bundle is described by its own row of the table of arms.
    """
    provenance = manifest["provenance"]
    arms = ", ".join(manifest["arms"])
    lines = [
        f"# Model card: {manifest['name']}",
        "",
        f"**{manifest['notice']}.**",
        "",
        "- Task: segment vestibular schwannoma and cochlea on T2 MRI; labels of crossMoDA "
        f"{manifest['edition']}. Arms: {arms}; default: {manifest['default_arm']}.",
    ]
    for name in manifest["arms"]:
        # A bundle of another version may have an arm that this one does not know.
        if name in ARMS:
            arm = ARMS[name]
            lines.append(f"- Arm `{name}`: {arm.card}{_contrast(arm, provenance)}{_rounds(arm, provenance)}")
    lines += [
        f"- Trained on: {provenance['training_data']}. {_rules(provenance)}",
        f"- Made by `{manifest['command']}`, seed {manifest['seed']}, code {manifest['code_version']}, "
        f"{manifest['created']}.",
        "",
        "## Scores",
        "",
    ]
    lines += _scores(manifest["scores"])
    lines += [
        "",
        "## Limits",
        "",
        "Not a medical device. Not for diagnosis, treatment planning or any decision about a patient.",
    ]
    if manifest["intended_use"] == "phantom":
        lines.append(PHANTOM_LIMITS)
    return "\n".join(lines) + "\n"


def _contrast(arm: Arm, provenance: dict) -> str:
    """A sentence on random contrast, where an arm was trained with it."""
    if _settings(arm, provenance, "local_contrast") is None:
        return ""
    return " While it was trained, tumours and cochleae had random contrast."


def _settings(arm: Arm, provenance: dict, section: str) -> dict | None:
    """A section of the configuration, where it stands there and names the arm's segmenter among its stages."""
    settings = provenance.get("config", {}).get(section)
    if settings is None or arm.segmenter.name not in settings["stages"]:
        return None
    return settings


def _rounds(arm: Arm, provenance: dict) -> str:
    """A sentence on an arm's self-training, where the section of that name has shaped it."""
    settings = _settings(arm, provenance, SELF_TRAINING.name)
    if settings is None:
        return ""
    # Bundles of before lack some keys.
    settings = asdict(SelfTrainingConfig()) | settings
    # The last round counts too, where it has seen nothing else.
    rounds = settings["rounds"] + settings["last_on_target"]
    times = "once" if rounds == 1 else f"in {rounds} rounds"
    told = f" Its nnU-Net was trained {times} on its own masks of real T2."
    reasons = []
    if settings["min_agreement"] > 0:
        reasons.append("agreed with other ways to find them")
    if settings["anatomy"]:
        reasons.append("a patient could have")
    if reasons:
        told += f" Of these, those were kept that {' and that '.join(reasons)}."
    if settings["fit_cochleae"]:
        told += " Their cochleae were given the shape that labels of T1 have, in the place that the images tell."
    if settings["fit_tumours"]:
        told += " Their tumours took in what lies beside them and looks like their core, up to the image's edges."
    return told


def _rules(provenance: dict) -> str:
    """A sentence on whether the training kept to the challenge's rules."""
    if provenance["external_data"] or provenance.get("extra_annotation"):
        remarks = "; ".join(provenance["remarks"])
        return f"Outside the challenge's rules: {remarks}."
    return "No external data, no pre-trained weights."


def _scores(scores: dict) -> list[str]:
    """Lines with the table of scores, where there are any."""
    if not scores.get("arms"):
        return ["Not scored yet."]
    lines = [
        f"On {scores['cases']} unseen cases, mean ± sd (median).",
        "",
        "| arm | structure | Dice | ASSD (mm) | Dice > 0.8 |",
        "|---|---|---|---|---|",
    ]
    for arm, structures in scores["arms"].items():
        for structure, values in structures.items():
            dice = _spread(values["dice"], 3)
            assd = _spread(values["assd_mm"], 2)
            over = values["dice"]["over_0_8"]
            lines.append(f"| {arm} | {structure} | {dice} | {assd} | {over} |")
    return lines


def _spread(values: dict, digits: int) -> str:
    mean = f"{values['mean']:.{digits}f}"
    sd = f"{values['std']:.{digits}f}"
    median = f"{values['median']:.{digits}f}"
    return f"{mean} ± {sd} ({median})"
