"""`vestibule weights`: what a bundle is, and whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule.commands.options import json_option, write_result
from vestibule.files import printable
from vestibule.logs import say
from vestibule.manifest import MANIFEST_NAME
from vestibule.terminal import table_console
from vestibule.weights import Bundle, find_bundle, open_bundle

if TYPE_CHECKING:
    from rich.table import Table


@click.group()
def weights() -> None:
    """Show or verify a bundle of weights."""


@weights.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@json_option("the same")
def show(bundle: Path | None, json_path: Path | None) -> None:
    """Print what BUNDLE is for, its arms and scores, and where it comes from (by default the installed bundle)."""
    opened = open_bundle(find_bundle(bundle))
    told = {key: value for key, value in opened.manifest.items() if key not in ("files", "networks")}
    document = {"path": str(opened.path), "rules": _rules(opened), "size": _size(opened), **told}
    if not write_result(json_path, document):
        return
    console = table_console()
    console.print(_facts(opened))
    console.print(_scores(opened))


@weights.command()
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@json_option("the same")
def verify(bundle: Path | None, json_path: Path | None) -> None:
    """Check every file of BUNDLE against its manifest, that weights are finite, and that its networks are known ones.

    By default it is the installed bundle. Nothing that the bundle names is imported or called.
    """
    from vestibule.bundle_check import check_networks

    opened = open_bundle(find_bundle(bundle))
    for arm in opened.manifest["arms"]:
        check_networks(opened, arm)
    for name in opened.manifest["files"]:
        if name.endswith(".safetensors"):
            opened.tensors(name.removesuffix(".safetensors"))

    listed = {MANIFEST_NAME, *opened.manifest["files"]}
    extra = []
    for path in sorted(opened.path.rglob("*")):
        name = path.relative_to(opened.path).as_posix()
        if path.is_file() and name not in listed:
            extra.append(printable(Path(name)))
    document = {"path": str(opened.path), "whole": True, "size": _size(opened), "not_in_manifest": sorted(extra)}
    if not write_result(json_path, document):
        return
    say(f"{opened.path}: whole, {_size(opened)}, each as its sha256 says")
    if extra:
        say(f"not in the manifest, and so never read: {', '.join(sorted(extra))}")


def _facts(bundle: Bundle) -> Table:
    """A table of what a user asks of weights first."""
    from rich.table import Table
    from rich.text import Text

    manifest = bundle.manifest
    arms = []
    for arm in manifest["arms"]:
        arms.append(f"{arm} (default)" if arm == manifest["default_arm"] else arm)
    provenance = []
    for key, value in manifest["provenance"].items():
        # The nested entries are whole configurations, which the manifest itself is the place to read.
        if not isinstance(value, dict | list):
            provenance.append(f"{key}: {_plain(value)}")

    rows = {
        "intended use": manifest["intended_use"],
        "notice": bundle.notice or "none",
        "challenge rules": _rules(bundle),
        "edition": str(manifest["edition"]),
        "arms": ", ".join(arms),
        "made": f"{manifest['created']} by vestibule {manifest['code_version']}",
        "command": manifest["command"],
        "seed": str(manifest["seed"]),
        "provenance": ", ".join(provenance),
        "size": _size(bundle),
    }
    # As texts, because a table would take what stands in brackets for a colour.
    title = Text(f"{manifest['name']}  {bundle.path}")
    table = Table(title=title, show_header=False, title_justify="left")
    for key, value in rows.items():
        table.add_row(key, Text(value))
    return table


def _size(bundle: Bundle) -> str:
    """How many files a bundle has, and how large they are."""
    from rich.filesize import decimal

    sizes = [entry["bytes"] for entry in bundle.manifest["files"].values()]
    return f"{len(sizes)} files, {decimal(sum(sizes))}"


def _rules(bundle: Bundle) -> str:
    """Whether an entry made with these weights would keep the challenge's rules."""
    if bundle.broken_rules:
        broken = f"broken: {', '.join(bundle.broken_rules)}"
        remarks = bundle.manifest["provenance"].get("remarks")
        return f"{broken} ({'; '.join(remarks)})" if remarks else broken
    if bundle.manifest["intended_use"] == "phantom":
        return "no entry to a challenge: trained on phantoms alone"
    return "kept: no data from outside the challenge, not pre-trained"


def _scores(bundle: Bundle) -> Table:
    """A table of the recorded scores, one line a number, whatever their nesting."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="scores", title_justify="left", show_header=False)
    scores = bundle.manifest["scores"]
    if not scores:
        table.add_row("none recorded")
    else:
        for path, value in _leaves(scores):
            table.add_row(Text(" ".join(path)), Text(_plain(value)))
    return table


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every value of a nested dictionary, with the keys that lead to it."""
    if not isinstance(value, dict):
        yield path, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, (*path, str(key)))


def _plain(value: object) -> str:
    """A value of a manifest as a person reads it."""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, str):
        return value
    return json.dumps(value)
