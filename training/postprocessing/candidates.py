"""What is tried: ways to run nnU-Net, and rules for the parts of a structure."""

from __future__ import annotations

from dataclasses import dataclass

from training.config import PostprocessingConfig, SegmenterConfig
from vestibule.components import ComponentRule
from vestibule.editions import Edition


@dataclass(frozen=True)
class Inference:
    """A way to run nnU-Net."""

    folds: tuple[str, ...]
    """Names of the folds that are averaged."""
    mirrored: bool
    """Whether mirrored images are averaged too."""

    def __str__(self) -> str:
        """In words, as tables have it."""
        averaged = "mean of folds " if len(self.folds) > 1 else "fold "
        mirrored = "mirrored" if self.mirrored else "not mirrored"
        return averaged + ", ".join(self.folds) + ", " + mirrored


def inferences(segmenter: SegmenterConfig, config: PostprocessingConfig) -> list[Inference]:
    """The ways to run nnU-Net that are compared, the configured one first."""
    folds = tuple(str(fold) for fold in segmenter.folds)
    members = [folds or ("all",)]
    if config.single_folds and len(folds) > 1:
        for fold in folds:
            members.append((fold,))

    mirrorings = [segmenter.mirror_at_test]
    if config.mirroring:
        mirrorings.append(not segmenter.mirror_at_test)

    ways = []
    for mirrored in mirrorings:
        for member in members:
            way = Inference(member, mirrored)
            ways.append(way)
    return ways


def rules_of(structure: str, edition: Edition, config: PostprocessingConfig) -> list[ComponentRule]:
    """The rules that are compared for a structure, the one that keeps all first."""
    found = [ComponentRule()]
    most = edition.anatomy_of(structure).components
    if config.largest and most is not None:
        largest = ComponentRule(most=most)
        found.append(largest)
    for volume in config.min_volumes_mm3:
        rule = ComponentRule(min_mm3=volume)
        found.append(rule)
    return found


def in_words(rule: ComponentRule) -> str:
    """A rule as tables have it."""
    if rule.most is not None:
        return f"largest {rule.most}"
    if rule.min_mm3:
        return f"from {rule.min_mm3:g} mm³"
    return "all parts"
