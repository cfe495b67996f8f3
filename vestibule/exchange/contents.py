"""Which files of a bundle belong to which of its networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vestibule.weights import Bundle

if TYPE_CHECKING:
    import torch


def files_of(bundle: Bundle, networks: dict) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, dict]]:
    """Tensors and documents of a bundle that some networks name.

    Args:
        bundle: A verified bundle.
        networks: As a manifest has them; what they name and the bundle lacks is left out.

    Returns:
        Tensors and documents by name, as `write_bundle` takes them.
    """
    listed = bundle.manifest["files"]
    tensors: dict[str, dict[str, torch.Tensor]] = {}
    documents: dict[str, dict] = {}
    for entry in networks.values():
        segmenter = entry["segmenter"]
        names = list(segmenter["tensors"])
        translator = entry["translator"]
        if translator is not None:
            names.append(translator["tensors"])
        for name in names:
            if f"{name}.safetensors" in listed:
                tensors[name] = bundle.tensors(name)
        for key in ("plans", "dataset"):
            name = segmenter[key]
            if f"{name}.json" in listed:
                documents[name] = bundle.document(name)
    return tensors, documents
