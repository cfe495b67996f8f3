"""No arm and no stage is named outside its table."""

import ast

from training.arms import ARMS
from training.stage_table import STAGES

PLACES = ("training", "evaluation", "vestibule", "contract", "studies", "benchmarks", "process.py")
TABLES = {"training/arms.py", "training/stage_table.py"}
USE = "an intended use, beside `challenge`"
FILES = "the file name of a configuration or of a folder of weights"
ROLE = "the segmenter's place in a bundle's manifest"
OTHER_MEANINGS = {
    ("benchmarks/predict_full_size.py", "segmenter"): ROLE,
    ("training/config/run.py", "phantom"): USE,
    ("training/stages/export.py", "phantom"): USE,
    ("training/stages/export.py", "segmenter"): ROLE,
    ("training/stages/model_card.py", "phantom"): USE,
    ("vestibule/bundle_check.py", "segmenter"): ROLE,
    ("vestibule/cli.py", "phantom"): "the command that makes phantoms outside a run",
    ("vestibule/commands/weights.py", "phantom"): USE,
    ("vestibule/exchange/about.py", "phantom"): USE,
    ("vestibule/exchange/contents.py", "segmenter"): ROLE,
    ("vestibule/exchange/imported.py", "segmenter"): ROLE,
    ("vestibule/exchange/monai.py", "postprocessing"): "a key of MONAI's configuration",
    ("vestibule/exchange/monai.py", "segmenter"): ROLE,
    ("vestibule/exchange/nnunet.py", "segmenter"): ROLE,
    ("vestibule/exchange/onnx.py", "segmenter"): ROLE,
    ("vestibule/pipeline.py", "segmenter"): ROLE,
    ("vestibule/weights.py", "phantom"): FILES,
    ("studies/mirroring.py", "segmenter"): ROLE,
    ("studies/region.py", "phantom"): FILES,
}
"""File and string that mean something else, with what they mean."""


def named(path):
    """Arms' and stages' names among the string constants of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in {**ARMS, **STAGES}:
            yield node.value


def test_arms_and_stages_are_named_in_their_tables_alone(repository):
    found = set()
    for place in PLACES:
        paths = [repository / place] if place.endswith(".py") else sorted((repository / place).rglob("*.py"))
        assert paths, f"no file under {place}"
        for path in paths:
            file = str(path.relative_to(repository))
            found |= {(file, name) for name in named(path) if file not in TABLES}
    assert found == set(OTHER_MEANINGS)
