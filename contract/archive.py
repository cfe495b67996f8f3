"""Archives to upload, looked at without unpacking them: an image of `docker save`, or a bundle of weights.

python -m contract.archive IMAGE.tar.gz          exit code 1 where a point of the contract is broken
python -m contract.archive --weights MODEL.tar.gz
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from contract.report import Report
from vestibule.errors import InputError
from vestibule.files import parse_json

MAX_IMAGE_BYTES = 10 * 10**9
"""The archive with its weights should stay under this."""
MAX_DOCUMENT_BYTES = 4 << 20
"""Largest member of an image's archive that is read as JSON."""
MAX_DOCUMENTS_BYTES = 64 << 20
"""All members together that are read as JSON."""
MAX_MEMBERS = 100_000
"""Members of an archive: one that has more is none."""
MAX_UNPACKED_BYTES = 64 << 30
"""An archive that unpacks to more is not read on: a few megabytes can pack terabytes."""
READS_PAST_END = 16
"""How often a stream may be read past its end: tarfile does so a few times, and without end for a member's size that is
not true."""
MAX_TAR_HEADER_BYTES = 1 << 20
"""Longest name or other text about a member, which is read into memory."""
API_LABEL = "org.grand-challenge.api-method"
API_METHODS = ("exec", "invoke")
MANIFEST_NAME = "manifest.json"
TEXT_TYPES = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
"""Kinds of members that are no files, but texts about the next one."""
SHELLS = (["/bin/sh", "-c"], ["/bin/bash", "-c"])
"""What a Dockerfile's shell form puts before the command."""


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
    found = []
    if manifest is None:
        found.append("no manifest.json")
    elif len(manifest) != 1:
        found.append(f"{len(manifest)} images")
    report.judge(
        "one image",
        found,
        "one image in the archive",
        "save exactly one image by its name: docker save NAME | pigz > NAME.tar.gz",
    )
    if not manifest or not isinstance(manifest[0], dict):
        return None

    entry = manifest[0]
    config = _json(documents.get(str(entry.get("Config"))), dict)
    layers = _value(entry, "Layers", list)
    problems = []
    if config is None:
        problems.append("lacks the image's configuration")
    for layer in layers:
        if str(layer) not in names:
            problems.append(f"lacks {layer}")
    report.judge(
        "whole archive",
        problems,
        f"{len(layers)} layers, configuration and checksums",
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

    run = _value(config, "config", dict)
    user = str(run.get("User") or "")
    name = user.partition(":")[0]
    shown_user = user or "root, no user is set"
    report.judge(
        "non-root user",
        [f"runs as {shown_user}"] if name in ("", "root", "0") else [],
        f"user {user}",
        "add a line such as USER 1000:1000 to the end of the Dockerfile",
    )

    command = _value(run, "Entrypoint", list) or _value(run, "Cmd", list)
    through_shell = list(command[:2]) in SHELLS
    report.judge(
        "entry point",
        [f"{command or 'none is set'}"] if through_shell or not command else [],
        json.dumps(command),
        'write the exec form, ENTRYPOINT ["python3", "process.py"]: a shell does not pass signals on',
    )

    label = _api_label(run)
    method = api_method(run)
    report.judge(
        "call style",
        [f"{API_LABEL} is {label!r}"] if method is None else [],
        f"{method}",
        f"set the label {API_LABEL} to exec or invoke, or leave it out for exec",
    )


def api_method(run: dict) -> str | None:
    """How the platform calls an image with the run configuration `run`: exec, invoke, or None for a wrong label."""
    label = _api_label(run)
    if label is None:
        return "exec"
    # The platform reads it so, quotes and capitals notwithstanding.
    cleaned = label.lower().replace("'", "").replace('"', "").strip()
    return cleaned if cleaned in API_METHODS else None


def _api_label(run: dict) -> str | None:
    """The label that tells how an image is called; None where it has none."""
    labels = _value(run, "Labels", dict)
    for key, value in labels.items():
        if key.lower().strip() == API_LABEL:
            return str(value)
    return None


def _value(holder: dict, key: str, kind: type) -> Any:
    """What `holder` has under `key`; an empty one of `kind` where it is another: an archive may hold anything."""
    value = holder.get(key)
    return value if isinstance(value, kind) else kind()


def check_weights_archive(path: Path, report: Report) -> None:
    """Note in `report` whether `path` unpacks to a whole bundle of weights, its manifest at the top.

    Raises InputError where `path` is no archive or ends too early.
    """
    digests: dict[str, str] = {}
    manifest: dict | None = None
    odd: list[str] = []
    with _opened(Path(path)) as archive:
        for member in _bounded(Path(path), archive):
            name = PurePosixPath(member.name)
            is_plain = member.isfile() or member.isdir()
            leads_out = name.is_absolute() or ".." in name.parts
            if not is_plain or leads_out:
                odd.append(f"{member.name} is no plain file inside the bundle")
                continue
            stream = archive.extractfile(member)
            if stream is None:  # A folder.
                continue
            if str(name) == MANIFEST_NAME and member.size <= MAX_DOCUMENT_BYTES:
                manifest = _json(stream.read(), dict)
            else:
                digest = hashlib.file_digest(stream, "sha256")  # type: ignore[arg-type]  # a buffered reader
                digests[str(name)] = digest.hexdigest()
    report.judge("plain files", odd, f"{len(digests)} files", "pack the bundle with ./export.sh --weights")

    listed = manifest.get("files") if manifest else None
    if not isinstance(listed, dict):
        report.failed("bundle", "manifest.json is not at the top, or lists no files", "pack the folder that holds it")
        return
    problems = []
    for file_name, entry in listed.items():
        found = digests.get(file_name)
        if found is None:
            problems.append(f"{file_name} is missing")
        elif not isinstance(entry, dict) or found != entry.get("sha256"):
            problems.append(f"{file_name} is altered")
    report.judge("bundle", problems, "every file as its manifest has it", "export the bundle again")


def _read_image_archive(path: Path) -> tuple[dict[str, bytes], set[str]]:
    """Its small members by name, and the names of all; reads to the end, so that a damaged archive is seen."""
    documents: dict[str, bytes] = {}
    names: set[str] = set()
    left = MAX_DOCUMENTS_BYTES
    with _opened(path) as archive:
        for member in _bounded(path, archive):
            names.add(member.name)
            if not member.isfile() or member.size > min(left, MAX_DOCUMENT_BYTES):
                continue
            stream = archive.extractfile(member)
            if stream is not None:
                documents[member.name] = stream.read()
                left -= member.size
    return documents, names


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A .tar.gz to read from its start to its end; a member's content can be had until the next one is asked for.

    Raises InputError where the archive is damaged, also while the block reads it.
    """
    try:
        with (
            BoundedGzip(path, "rb") as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Member) as archive,
        ):
            yield archive
            # The checksum stands at the very end, after the padding that tarfile leaves unread.
            while unpacked.read(1 << 20):
                pass
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, zlib.error) as error:
        # Ours is a ValueError too.
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole .tar.gz archive ({error}); save it again") from error


def _bounded(path: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members of an archive. Raises InputError where it has too many."""
    for number, member in enumerate(archive):
        if number >= MAX_MEMBERS:
            raise InputError(f"{path}: more than {MAX_MEMBERS} members; expected an image or a bundle")
        # tarfile would look for the next one at that distance, past the end too.
        if member.size > MAX_UNPACKED_BYTES:
            raise InputError(
                f"{path}: {member.name!r:.80} says that it has {member.size} bytes; save the archive again"
            )
        yield member


class _Member(tarfile.TarInfo):
    """A member whose name, or other text about it, is no longer than memory has room for."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """As tarfile's. Raises tarfile.ReadError for a text that is too long, and for files with holes."""
        member = super().frombuf(buf, encoding, errors)
        if member.type in TEXT_TYPES and member.size > MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"a text of {member.size} bytes about a member")
        if member.type == tarfile.GNUTYPE_SPARSE:
            # A hole has any size and takes no byte of the archive.
            raise tarfile.ReadError("a file with holes")
        return member


class BoundedGzip(gzip.GzipFile):
    """A stream that ends with an error where it gives more than `MAX_UNPACKED_BYTES`, or is read on past its end."""

    left = MAX_UNPACKED_BYTES
    past_end = 0

    def read(self, size: int | None = -1) -> bytes:
        """At most `size` bytes. Raises OSError where there were too many."""
        content = super().read(size)
        self.left -= len(content)
        if self.left < 0:
            raise OSError(f"it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB")
        if size and not content:
            self.past_end += 1
            if self.past_end > READS_PAST_END:
                raise EOFError("it ends within a member")
        return content


def _json(content: bytes | None, kind: type) -> Any:
    """What `content` says as JSON; None where it says nothing of this kind."""
    if content is None:
        return None
    try:
        value = parse_json(content)
    except ValueError:
        return None
    return value if isinstance(value, kind) else None


if __name__ == "__main__":
    archive_path = Path(sys.argv[-1])
    found_report = Report(str(archive_path))
    check = check_weights_archive if "--weights" in sys.argv[1:-1] else check_image_archive
    try:
        check(archive_path, found_report)
    except InputError as problem:
        sys.exit(str(problem))
    print(found_report.as_text())
    sys.exit(1 if found_report.failures else 0)
