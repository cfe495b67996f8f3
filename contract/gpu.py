"""Whether an image's PyTorch can use the GPU that a challenge names. It is asked in the sandbox, and needs no GPU."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from contract.report import Report
from contract.sandbox import Engine

PROBE = (
    "import json, torch; "
    "flags = getattr(torch._C, '_cuda_getArchFlags', str)() or ''; "
    "print(json.dumps({'torch': torch.__version__, 'cuda': torch.version.cuda, 'built_for': flags.split()}))"
)
"""What is run in the image: its torch, the CUDA of that, and what its kernels are built for. `torch.cuda` itself tells
the last only where there is a GPU."""
PROBE_SECONDS = 120
_BUILT_FOR = re.compile(r"(sm|compute)_(\d+)(\d)[a-z]?$")

Version = tuple[int, int]


@dataclass(frozen=True)
class Gpu:
    """A GPU that platforms offer."""

    name: str
    capability: Version
    """Compute capability, by NVIDIA's table."""
    newest_cuda: Version | None
    """The newest CUDA that the platform's driver takes; None where it names none."""


GPUS = {
    # "cuda12.6 is required for the T4": Grand Challenge's challenge pack of 16 July 2026.
    "T4": Gpu("T4", (7, 5), (12, 6)),
    "A10G": Gpu("A10G", (8, 6), None),
}


def check_gpu(engine: Engine, image: str, gpu: Gpu, report: Report) -> None:
    """Note whether the image's torch has kernels for a GPU, and a CUDA that the platform's driver takes.

    Args:
        engine: docker or podman.
        image: Its name.
        gpu: What the challenge runs on.
        report: Gets one finding.
    """
    point = f"GPU {gpu.name}"
    answer = engine.ask(image, PROBE, PROBE_SECONDS)
    try:
        found = json.loads(answer.strip().splitlines()[-1])
    except (ValueError, IndexError):
        report.untested(
            point,
            "the image has no python3 with torch that could be asked",
            "run it once where such a GPU is",
        )
        return
    told = f"torch {found['torch']}, CUDA {found['cuda']}, built for {' '.join(found['built_for'])}"
    newest = ".".join(map(str, gpu.newest_cuda)) if gpu.newest_cuda else "12.6"
    remedy = f"build on a base whose PyTorch is made with CUDA {newest}, see docs/how-to/container.md"
    report.judge(point, faults_of(found, gpu), told, remedy)


def faults_of(found: dict[str, Any], gpu: Gpu) -> list[str]:
    """Why a torch cannot use a GPU; empty where it can.

    Args:
        found: What `PROBE` prints.
        gpu: The GPU.
    """
    if found["cuda"] is None:
        return [f"torch {found['torch']} is built for the CPU alone"]
    faults = []
    if not any(_runs_on(target, gpu.capability) for target in found["built_for"]):
        needed = ".".join(map(str, gpu.capability))
        faults.append(f"its torch is built for {' '.join(found['built_for'])}, and {gpu.name} has {needed}")
    major, minor, *_ = map(int, found["cuda"].split("."))
    if gpu.newest_cuda is not None and (major, minor) > gpu.newest_cuda:
        newest = ".".join(map(str, gpu.newest_cuda))
        faults.append(f"its CUDA is {found['cuda']}, and the platform's driver for {gpu.name} takes {newest} at most")
    return faults


def _runs_on(target: str, capability: Version) -> bool:
    """Whether kernels built for a target run on a compute capability."""
    match = _BUILT_FOR.match(target)
    if match is None:
        return False
    kind, major, minor = match.group(1), int(match.group(2)), int(match.group(3))
    if kind == "compute":
        # An intermediate form, which the driver compiles for any GPU that is as new.
        return (major, minor) <= capability
    # Within a generation, newer GPUs run what is built for older ones.
    return major == capability[0] and minor <= capability[1]
