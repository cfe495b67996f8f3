"""All points of an image: its configuration, and what it does in the sandbox on generated cases."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from contract.archive import MAX_IMAGE_BYTES, api_method, check_configuration
from contract.cases import generate_cases, write_job
from contract.evaluation_job import check_evaluation_contract
from contract.flat_folder import check_folder_contract
from contract.gpu import Gpu, check_gpu
from contract.platform_job import WriteJob, check_platform_contract
from contract.report import Report
from contract.runs import ImageCheck
from contract.sandbox import Engine
from vestibule.editions import Edition
from vestibule.errors import InputError


def check_image(
    engine: Engine,
    image: str,
    edition: Edition,
    report: Report,
    contract: str = "both",
    full_size: bool = False,
    time_limit_s: float = 600.0,
    announce: Callable[[str], None] = lambda what: None,
    gpu: Gpu | None = None,
    dicom: bool = False,
) -> None:
    """Note in `report` how an image fares: its configuration, then runs in the sandbox.

    Args:
        engine: docker or podman.
        image: Its name.
        edition: Whose names and labels hold.
        report: Gets a finding for each point.
        contract: `folder` (the organisers': all cases of a flat folder in one run), `platform` (one job a run), or
            `both`; `evaluation` for an image that scores submissions on the platform.
        full_size: Whether to run a case as large as the challenge's too.
        time_limit_s: What one run may take.
        announce: Told of each run before it begins.
        gpu: The GPU that the challenge names; None where it is not known.
        dicom: Whether jobs of the platform bring a DICOM image set, and not a file. It needs the extra `dicom`.

    Raises:
        InputError: There is no such image.
    """
    config = engine.configuration(image)
    if config is None:
        raise InputError(f"{image}: {engine.program} knows no such image, and it is no file; build or load it first")
    # The archive that it came in has told its configuration already.
    if report.status_of("platform") is None:
        check_configuration(config, report)
    size = config["size"] or 0
    size_gb = size / 1e9
    report.judge(
        "image size",
        [f"{size_gb:.1f} GB"] if size > MAX_IMAGE_BYTES else [],
        f"{size_gb:.2f} GB unpacked",
        "keep it under 10 GB",
    )

    method = api_method(config["config"] or {}) or "exec"
    with tempfile.TemporaryDirectory(prefix="vestibule-check-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        check = ImageCheck(engine, image, edition, report, Path(folder), time_limit_s, announce)
        cases = generate_cases(edition, np.random.default_rng(0))
        if contract == "evaluation":
            check_evaluation_contract(check, cases[:2], method)
        if contract in ("both", "folder"):
            check_folder_contract(check, cases, full_size, method)
        if contract == "platform":
            check_platform_contract(check, cases, method, _writer(dicom))
        elif contract == "both":
            # The folder has seen them all; two in the other layout will do.
            _, _, oblique, _, few_slices = cases
            check_platform_contract(check, [oblique, few_slices], method, _writer(dicom))
    if gpu is not None:
        check_gpu(engine, image, gpu, report)
    report.untested("GPU", "the sandbox offers none", "run it once where a GPU is, as the platform does")


def _writer(dicom: bool) -> WriteJob:
    """What writes jobs as the phase's socket has them."""
    if not dicom:
        return write_job
    from contract.dicom_set import write_dicom_job

    return write_dicom_job
