"""The bundle itself with a model card that Hugging Face reads. Nothing is uploaded."""

from __future__ import annotations

import copy
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from vestibule.exchange.about import PHANTOM, TERMS, warning
from vestibule.exchange.contents import files_of
from vestibule.weights import Bundle, write_bundle

CARD = "README.md"
LICENCE = "LICENSE.md"
OWN_CARDS = ("MODEL_CARD.md", CARD)
"""Files of a bundle that may hold its own card, the likeliest first."""
TASK = "image-segmentation"
TAGS = ["medical", "mri", "vestibular-schwannoma", "cochlea", "crossmoda", "domain-adaptation", "nnunet"]


def write(bundle: Bundle, arms: list[str], folder: Path) -> None:
    """Write a bundle of some arms into `folder`, with a card whose metadata Hugging Face reads.

    Args:
        bundle: A verified bundle.
        arms: Those to write.
        folder: An empty folder.

    Raises:
        InputError: A file of the bundle cannot be read, or the disk refuses.
        ValueError: The card's metadata are none that Hugging Face reads.
    """
    manifest = copy.deepcopy(bundle.manifest)
    networks = manifest["networks"]
    manifest["arms"] = arms
    manifest["networks"] = {arm: networks[arm] for arm in arms}
    if manifest["default_arm"] not in arms:
        manifest["default_arm"] = arms[0]
    tensors, documents = files_of(bundle, manifest["networks"])
    texts = {CARD: _card(bundle, arms)}
    if manifest["intended_use"] != PHANTOM:
        texts[LICENCE] = TERMS
    write_bundle(folder, manifest, tensors, documents, texts)


def _card(bundle: Bundle, arms: list[str]) -> str:
    """The page with its metadata, which are read back as a check."""
    metadata = ModelCardData(
        model_name=bundle.manifest["name"],
        library_name="vestibule",
        pipeline_tag=TASK,
        tags=[*TAGS, f"crossmoda{bundle.manifest['edition']}"],
        eval_results=_results(bundle, arms) or None,
    )
    for key, value in _licence(bundle).items():
        metadata[key] = value
    page = f"---\n{metadata.to_yaml()}\n---\n\n{_text(bundle)}"
    card = ModelCard(page)
    return str(card)


def _licence(bundle: Bundle) -> dict[str, str]:
    """This toolkit's for weights of its phantoms; else the terms of the data decide."""
    if bundle.manifest["intended_use"] == PHANTOM:
        return {"license": "apache-2.0"}
    return {"license": "other", "license_name": "terms-of-the-training-data", "license_link": LICENCE}


def _results(bundle: Bundle, arms: list[str]) -> list[EvalResult]:
    """The recorded mean Dice of each arm and structure."""
    manifest = bundle.manifest
    scores = manifest["scores"].get("arms", {})
    data = "phantoms" if manifest["intended_use"] == PHANTOM else f"crossMoDA {manifest['edition']}"
    results = []
    for arm in arms:
        for structure, values in scores.get(arm, {}).items():
            result = EvalResult(
                task_type=TASK,
                dataset_type=data.lower().replace(" ", "-"),
                dataset_name=data,
                metric_type="dice",
                metric_name=f"mean Dice, {structure}, arm {arm}",
                metric_value=values["dice"]["mean"],
            )
            results.append(result)
    return results


def _text(bundle: Bundle) -> str:
    """The bundle's own card, with how to use the weights; a short one where it has none."""
    own = f"# {bundle.manifest['name']}\n"
    for name in OWN_CARDS:
        if name in bundle.manifest["files"]:
            own = (bundle.path / name).read_text(encoding="utf-8", errors="replace")
            break
    return f"""{own}
## Intended use

{warning(bundle)}

## How to use

```
vestibule weights verify FOLDER
vestibule predict T2_IMAGES MASKS --weights FOLDER
```

FOLDER is this repository, downloaded. Weights are safetensors; `manifest.json` lists every file with its sha256.
"""
