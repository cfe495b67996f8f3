"""A trained nnU-Net of one's own becomes the segmenter of a bundle, behind the bundle's translators."""

from __future__ import annotations

import copy
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from vestibule import __version__
from vestibule.bundle_check import check_whole
from vestibule.editions import get_edition
from vestibule.errors import InputError
from vestibule.exchange.contents import files_of
from vestibule.exchange.foreign import ForeignModel, read_model
from vestibule.files import new_folder
from vestibule.pipeline import load_model
from vestibule.weights import Bundle, open_bundle, write_bundle

SAME, OUTSIDE = TRAINED_ON = ("same", "outside")
"""What the imported model was trained on: the bundle's own training data from scratch, or anything else."""
CARD = "MODEL_CARD.md"
PREFIX = "imported"
"""How the names of its files begin in the bundle."""


def import_segmenter(
    folder: Path,
    out: Path,
    bundle_dir: Path,
    trained_on: str,
    arms: Sequence[str] = (),
    checkpoint: str = "checkpoint_final.pth",
) -> Bundle:
    """Write a bundle whose segmenter is a trained nnU-Net, whole or not at all.

    Args:
        folder: A model folder of nnU-Net.
        out: The folder to write, which must not be there.
        bundle_dir: The bundle that the rest is taken from.
        trained_on: One of `TRAINED_ON`.
        arms: Those that get the segmenter; none: every arm that translates.
        checkpoint: File of a fold that holds its weights.

    Returns:
        The new bundle.

    Raises:
        InputError: `out` is there, the model or the bundle is refused, an arm does not translate, or the disk refuses.
    """
    with new_folder(out) as partial:
        base = open_bundle(bundle_dir)
        check_whole(base)
        chosen = _arms(base, arms)
        edition = get_edition(base.manifest["edition"])
        model = read_model(folder, checkpoint, edition)

        prefix = _free_prefix(base)
        entry = model.entry(prefix)
        manifest = _manifest(base, model, chosen, entry, trained_on)
        tensors, documents = files_of(base, manifest["networks"])
        documents[entry["plans"]] = model.plans
        documents[entry["dataset"]] = model.dataset
        tensors |= dict(zip(entry["tensors"], model.folds.values(), strict=True))
        write_bundle(partial, manifest, tensors, documents, {CARD: _card(manifest, base)})
        # As a prediction would, so that what is written here can be used.
        for arm in chosen:
            load_model(partial, arm, "cpu")
    return open_bundle(out)


def _arms(base: Bundle, arms: Sequence[str]) -> list[str]:
    """Arms that get the segmenter; those that segment T2 itself cannot."""
    networks = base.manifest["networks"]
    chosen = [base.arm(arm) for arm in arms]
    for arm in chosen:
        if networks[arm]["translator"] is None:
            raise InputError(f"{base.path}: the arm {arm} has no translator, so that its segmenter gets T2, not T1")
    if not chosen:
        chosen = [arm for arm in base.manifest["arms"] if networks[arm]["translator"] is not None]
    if not chosen:
        raise InputError(f"{base.path}: no arm of it translates, so that none has a segmenter of T1 to replace")
    return chosen


def _free_prefix(base: Bundle) -> str:
    """How names of new files begin: as those of none that the base has, whose segmenter may be imported, too."""
    number = 1
    prefix = PREFIX
    while any(name.startswith(f"{prefix}_") for name in base.manifest["files"]):
        number += 1
        prefix = f"{PREFIX}{number}"
    return prefix


def _manifest(base: Bundle, model: ForeignModel, chosen: list[str], entry: dict, trained_on: str) -> dict:
    """The base's manifest with the segmenter in its place, and where that came from."""
    manifest = copy.deepcopy(base.manifest)
    for arm in chosen:
        manifest["networks"][arm]["segmenter"] = entry
    manifest["name"] = f"{manifest['name']}-imported"
    manifest["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    manifest["code_version"] = __version__
    manifest["command"] = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    # They were another segmenter's.
    manifest["scores"] = {}

    provenance = manifest["provenance"]
    base_record = {"name": base.manifest["name"], "created": base.manifest["created"]}
    record = model.record | {"arms": chosen, "trained_on": trained_on, "bundle": base_record}
    provenance["imported_segmenter"] = record
    if trained_on == OUTSIDE:
        provenance["external_data"] = True
        remark = f"the segmenter {record['folder']} was imported, trained on other data than this bundle's translators"
        provenance["remarks"] = [*provenance.get("remarks", []), remark]
    return manifest


def _card(manifest: dict, base: Bundle) -> str:
    """The model card: what was imported, then the card of the weights that the translators come from."""
    record = manifest["provenance"]["imported_segmenter"]
    lines = [
        f"# Model card: {manifest['name']}",
        "",
        f"**{manifest['notice']}**",
        "",
        f"- The segmenter of {', '.join(record['arms'])} was imported from nnU-Net's folder `{record['folder']}` "
        f"({record['dataset']}, trainer {record['trainer']}).",
        f"- Everything else comes from the weights {base.manifest['name']} of {base.manifest['created']}.",
        "- Not scored yet. Not a medical device.",
    ]
    if record["trained_on"] == OUTSIDE:
        lines.append("- Outside the challenge's rules: trained on other data than the translators.")
    return "\n".join(lines) + "\n"
