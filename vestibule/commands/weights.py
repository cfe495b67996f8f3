"""`vestibule weights`: what a bundle is, whether it is whole, and its way to other tools and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vestibule.commands.options import json_option, write_result
from vestibule.exchange.formats import FORMATS
from vestibule.exchange.formats import export as export_bundle
from vestibule.files import printable
from vestibule.logs import say
from vestibule.manifest import MANIFEST_NAME
from vestibule.terminal import table_console
from vestibule.weights import Bundle, find_bundle, open_bundle

if TYPE_CHECKING:
    from rich.table import Table


def _formats() -> str:
    """The formats and what each is, for the help."""
    lines = [f"{row.name}: {row.title}" for row in FORMATS.values()]
    return "Formats: " + "; ".join(lines) + "."


@click.group()
def weights() -> None:
    """Show, verify, export or import weights."""


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
    from vestibule.bundle_check import check_whole

    opened = open_bundle(find_bundle(bundle))
    check_whole(opened)

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


@weights.command(epilog=_formats())
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", "name", type=click.Choice(list(FORMATS)), required=True, help="The format; they are told below.")
@click.option("--arm", help="The arm to export.  [default: the bundle's own; all, where the format holds several]")
def export(bundle: Path, out: Path, name: str, arm: str | None) -> None:
    """Write the weights of BUNDLE to the new folder OUT in a format of other tools. Nothing is uploaded.

    BUNDLE is verified first. OUT must not be there; it appears whole or not at all.
    """
    arms = export_bundle(bundle, out, FORMATS[name], arm)
    say(f"{out}: {FORMATS[name].title}, {', '.join(arms)}; its README.md says how to use it")


@weights.command("import")
@click.argument("folder", metavar="MODEL_FOLDER", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    required=True,
    help="The bundle whose translators and working grid are taken.",
)
@click.option(
    "--trained-on",
    type=click.Choice(["same", "outside"]),
    required=True,
    help="What the nnU-Net was trained on: from scratch on the T1 that BUNDLE was trained on (same), or anything else.",
)
@click.option(
    "--arm", "arms", multiple=True, help="An arm that gets it; repeat it for more.  [default: all that translate]"
)
@click.option(
    "--checkpoint", default="checkpoint_final.pth", show_default=True, help="File of a fold with its weights."
)
def import_weights(
    folder: Path, out: Path, bundle: Path, trained_on: str, arms: tuple[str, ...], checkpoint: str
) -> None:
    """Make the trained nnU-Net in MODEL_FOLDER the segmenter of T1 in a new bundle, OUT.

    Its pickles are opened for tensors and numbers alone. Its network, labels and intensities must be ones that bundles
    can have.
    """
    from vestibule.exchange.imported import import_segmenter

    written = import_segmenter(folder, out, bundle, trained_on, arms, checkpoint)
    say(f"{out}: {written.manifest['name']}, {_size(written)}; challenge rules: {_rules(written)}")


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
