"""Archives to upload, looked at without unpacking them: an image of `docker save`, or a bundle of weights.

python -m contract.archive IMAGE.tar.gz          exit code 1 where a point of the contract is broken
python -m contract.archive --weights MODEL.tar.gz
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from contract.report import Report
from vestibule.errors import InputError

MAX_IMAGE_BYTES = 10 * 10**9
"""The archive with its weights should stay under this."""
MAX_DOCUMENT_BYTES = 4 << 20
"""Largest member of an image's archive that is read as JSON."""
MAX_DOCUMENTS_BYTES = 64 << 20
MAX_MEMBERS = 100_000
API_LABEL = "org.grand-challenge.api-method"
API_METHODS = ("exec", "invoke")
MANIFEST_NAME = "manifest.json"


def check_image_archive(path: Path, report: Report) -> dict | None:
    """Note in `report` whether the archive of an image at `path` would be accepted.

    Returns the image's configuration as the archive holds it, or None where there is none to be had.
    Raises InputError where `path` is no archive or ends too early.
    """
    documents, names = _read_image_archive(Path(path))
    size = Path(path).stat().st_size
    report.judge(
        "archive size",
        [f"{size / 1e9:.1f} GB"] if size > MAX_IMAGE_BYTES else [],
        f"{size / 1e6:.0f} MB",
        "keep image and weights under 10 GB: a smaller base image, fewer packages",
    )
    manifest = _json(documents.get(MANIFEST_NAME), list)
    found = "no manifest.json" if manifest is None else f"{len(manifest)} images"
    report.judge(
        "one image",
        [found] if manifest is None or len(manifest) != 1 else [],
        "one image in the archive",
        "save exactly one image by its name: docker save NAME | pigz > NAME.tar.gz",
    )
    if not manifest or not isinstance(manifest[0], dict):
        return None
    config = _json(documents.get(str(manifest[0].get("Config"))), dict)
    missing = [str(layer) for layer in manifest[0].get("Layers") or [] if layer not in names]
    if config is None:
        missing.insert(0, "the image's configuration")
    report.judge(
        "whole archive",
        [f"lacks {name}" for name in missing],
        f"{len(manifest[0].get('Layers') or [])} layers, configuration and checksums",
        "save the image again; the disk may have been full",
    )
    if config is not None:
        check_configuration(config, report)
    return config


def check_configuration(config: dict, report: Report) -> None:
    """Note what an image's configuration says: platform, user, entry point and call style.

    `config` has the keys `architecture`, `os` and `config`, as in an archive.
    """
    platform = f"{config.get('os')}/{config.get('architecture')}"
    report.judge(
        "platform",
        [] if platform == "linux/amd64" else [f"built for {platform}"],
        platform,
        "build with --platform linux/amd64",
    )
    run = config.get("config") or {}
    user = str(run.get("User") or "")
    problem = f"runs as {user or 'root, no user is set'}"
    report.judge(
        "non-root user",
        [problem] if user.split(":")[0] in ("", "root", "0") else [],
        f"user {user}",
        "add a line such as USER 1000:1000 to the end of the Dockerfile",
    )
    command = run.get("Entrypoint") or run.get("Cmd") or []
    shell = list(command[:2]) in (["/bin/sh", "-c"], ["/bin/bash", "-c"])
    report.judge(
        "entry point",
        [f"{command or 'none is set'}"] if shell or not command else [],
        json.dumps(command),
        'write the exec form, ENTRYPOINT ["python3", "process.py"]: a shell does not pass signals on',
    )
    methods = [str(value) for key, value in (run.get("Labels") or {}).items() if key.lower().strip() == API_LABEL]
    report.judge(
        "call style",
        [f"{API_LABEL} is {value!r}" for value in methods if api_method(run) is None],
        f"{api_method(run)}",
        f"set the label {API_LABEL} to exec or invoke, or leave it out for exec",
    )


def api_method(run: dict) -> str | None:
    """How the platform calls an image with the run configuration `run`: exec, invoke, or None for a wrong label."""
    for key, value in (run.get("Labels") or {}).items():
        if key.lower().strip() == API_LABEL:
            cleaned = str(value).lower().replace("'", "").replace('"', "").strip()
            return cleaned if cleaned in API_METHODS else None
    return "exec"


def check_weights_archive(path: Path, report: Report) -> None:
    """Note in `report` whether `path` unpacks to a whole bundle of weights, its manifest at the top.

    Raises InputError where `path` is no archive or ends too early.
    """
    digests: dict[str, str] = {}
    manifest, odd = None, []
    for archive, member in _members(Path(path)):
        name = str(PurePosixPath(member.name))
        if not (member.isfile() or member.isdir()) or PurePosixPath(name).is_absolute() or ".." in Path(name).parts:
            odd.append(f"{member.name} is no plain file inside the bundle")
        elif member.isfile():
            stream = archive.extractfile(member)
            if name == MANIFEST_NAME and member.size <= MAX_DOCUMENT_BYTES:
                manifest = _json(stream.read(), dict)
            else:
                digests[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    report.judge("plain files", odd, f"{len(digests)} files", "pack the bundle with ./export.sh --weights")
    listed = manifest.get("files") if manifest else None
    if not isinstance(listed, dict):
        report.failed("bundle", "manifest.json is not at the top, or lists no files", "pack the folder that holds it")
        return
    altered = [
        f"{name} is {'altered' if name in digests else 'missing'}"
        for name, entry in listed.items()
        if digests.get(name) != entry.get("sha256")
    ]
    report.judge("bundle", altered, "every file as its manifest has it", "export the bundle again")


def _read_image_archive(path: Path) -> tuple[dict[str, bytes], set[str]]:
    """Its small members by name, and the names of all; reads to the end, so that a damaged archive is seen."""
    documents: dict[str, bytes] = {}
    names: set[str] = set()
    kept = 0
    for archive, member in _members(path):
        names.add(member.name)
        if len(names) > MAX_MEMBERS:
            raise InputError(f"{path}: more than {MAX_MEMBERS} members; expected the archive of one image")
        if member.isfile() and member.size <= MAX_DOCUMENT_BYTES and kept + member.size <= MAX_DOCUMENTS_BYTES:
            documents[member.name] = archive.extractfile(member).read()
            kept += member.size
    return documents, names


def _members(path: Path):
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                yield archive, member
            # The checksum stands at the very end, after the padding that tarfile leaves unread.
            while unpacked.read(1 << 20):
                pass
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a whole .tar.gz archive ({error}); save it again") from error


def _json(content: bytes | None, kind: type):
    try:
        value = json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


if __name__ == "__main__":
    archive_path = Path(sys.argv[-1])
    found = Report(str(archive_path))
    try:
        (check_weights_archive if "--weights" in sys.argv[1:-1] else check_image_archive)(archive_path, found)
    except InputError as problem:
        sys.exit(str(problem))
    print(found.as_text())
    sys.exit(1 if found.failures else 0)
