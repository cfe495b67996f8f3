"""What there is on a machine, and what is wrong with it for this toolkit. Nothing is imported that is not there."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vestibule import __version__
from vestibule.errors import InputError

GOOD, NOTE, BROKEN = "ok", "note", "broken"
PYTHONS = ((3, 11), (3, 12))
"""Versions of Python that the packages are made for."""
NEEDED = ("click", "isal", "nibabel", "nnunetv2", "numpy", "rich", "safetensors", "scipy", "SimpleITK", "torch")
"""Distributions without which nothing is segmented."""
OPTIONAL = {
    "process.py": ("evalutils",),
    "training": ("lightning-fabric", "matplotlib", "monai", "pyyaml", "scikit-image", "tensorboard"),
    "evaluation": ("ipyniivue", "Jinja2", "matplotlib"),
}
"""Distributions that a part of the toolkit needs besides, by the part."""
PARTS = ("vestibule", "contract", "training", "evaluation")
LEAST_MEMORY_GB = 4.0
"""What a sandbox gives the full-size case of the submission's contract."""
LEAST_DISK_GB = 20.0
"""Prepared volumes and checkpoints of a full training take about as much."""
LEAST_SHARED_MB = 64.0
"""What a container has by default, in which several processes can still pass each other work."""
ENGINE_SECONDS = 10
SHARED = Path("/dev/shm")
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where a container or a job tells how much memory it may use."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    status: str
    """`ok`; `note`, where something does without; `broken`, where nothing is segmented with it."""
    found: str
    remedy: str = ""
    """What to do; empty where nothing need be done."""


def examine(folder: Path) -> list[Finding]:
    """Look at this machine, and at the disk of `folder`, and tell what was found, in a fixed order."""
    findings = [_machine(), _memory(), _python(), *_packages(), *_graphics(), _weights()]
    findings += [_disk(folder), _temporary(), _shared_memory(), _engine(), _slurm(), _text()]
    return findings


def _machine() -> Finding:
    # Those that this process may use, where a job has a share of a machine.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{platform.system()} {platform.machine()}, {cores} cores"
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        if "flags" in flags and " avx2" not in flags:
            return Finding("machine", NOTE, f"{found} without AVX2", "expect it to be several times slower")
    return Finding("machine", GOOD, found)


def _memory() -> Finding:
    """Memory of the machine, or what a container or a job may use of it where that is less."""
    try:
        total_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return Finding("memory", NOTE, "this system does not tell")
    for path in MEMORY_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            total_bytes = min(total_bytes, int(path.read_text(encoding="ascii")))
    total_gb = total_bytes / 1e9
    found = f"{total_gb:.1f} GB"
    if total_gb < LEAST_MEMORY_GB:
        return Finding("memory", NOTE, found, f"a full-size image is safe with {LEAST_MEMORY_GB:g} GB")
    return Finding("memory", GOOD, found)


def _python() -> Finding:
    found = f"{platform.python_version()}, vestibule {__version__}"
    if sys.version_info[:2] not in PYTHONS:
        known = " or ".join(".".join(map(str, version)) for version in PYTHONS)
        return Finding("python", BROKEN, found, f"install it for Python {known}")
    return Finding("python", GOOD, found)


def _packages() -> Iterator[Finding]:
    """What is installed for segmenting, and for each part of the toolkit that is here."""
    yield _distributions("packages", NEEDED, BROKEN)
    for part, names in OPTIONAL.items():
        # In the image there is no such part, and nothing is missing.
        if part in PARTS and importlib.util.find_spec(part) is None:
            continue
        yield _distributions(f"for {part}", names, NOTE)


def _distributions(topic: str, names: tuple[str, ...], status: str) -> Finding:
    versions, missing = [], []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        listed = ", ".join(missing)
        extra = "" if status == BROKEN else f"[{topic.removeprefix('for ')}]"
        remedy = f"pip install 'vestibule{extra}'" if extra != "[process.py]" else "pip install evalutils==0.4.2"
        return Finding(topic, status, f"not there: {listed}", remedy)
    return Finding(topic, GOOD, ", ".join(versions))


def _graphics() -> Iterator[Finding]:
    """The build of PyTorch, and each GPU."""
    if importlib.util.find_spec("torch") is None:
        yield Finding("torch", BROKEN, "not there", "install it as the README says under 'The right torch'")
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        yield Finding("torch", BROKEN, f"cannot be imported ({lines[0]})", "install the right build of it again")
        return

    build = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "for CPUs"
    yield Finding("torch", GOOD, f"{torch.__version__}, built {build}, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            yield _gpu(torch, index)
    elif _has_nvidia() and torch.version.cuda is None:
        remedy = "install a build of torch for CUDA, see 'The right torch' in the README"
        yield Finding("gpu", NOTE, "one is here, and this torch cannot use it", remedy)
    elif _has_nvidia():
        yield Finding("gpu", NOTE, "one is here, and does not answer", "look at nvidia-smi; is its driver too old?")
    else:
        yield Finding("gpu", GOOD, "none; networks run on the CPU")


def _gpu(torch: Any, index: int) -> Finding:
    topic = f"gpu {index}"
    try:
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        bfloat16 = torch.cuda.is_bf16_supported()
    except RuntimeError as error:
        return Finding(topic, NOTE, f"does not work ({str(error).splitlines()[0]})", "look at nvidia-smi")
    capability = f"{properties.major}.{properties.minor}"
    half = "bfloat16" if bfloat16 else "no bfloat16"
    found = f"{properties.name}, capability {capability}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free, {half}"
    built_for = torch.cuda.get_arch_list()
    if built_for and not is_built_for(properties.major, built_for):
        return Finding(topic, NOTE, found, f"this torch is built for {', '.join(built_for)}: install another build")
    return Finding(topic, GOOD, found)


def is_built_for(major: int, architectures: list[str]) -> bool:
    """Whether code for a GPU of this generation, such as 9 for sm_90, is among those of a build, or can be made."""
    for architecture in architectures:
        kind, _, number = architecture.partition("_")
        digits = "".join(filter(str.isdigit, number))
        generation = int(digits[:-1] or 0)
        # PTX is compiled for any later one.
        if generation == major or (kind == "compute" and generation <= major):
            return True
    return False


def _has_nvidia() -> bool:
    return Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") is not None


def _weights() -> Finding:
    """The bundle that predicts where none is named."""
    remedy = "name a bundle with --weights or $VESTIBULE_WEIGHTS"
    try:
        from vestibule.weights import find_bundle, open_bundle

        bundle = open_bundle(find_bundle())
    except InputError as error:
        return Finding("weights", NOTE, str(error), remedy)
    except ImportError as error:
        return Finding("weights", NOTE, f"cannot be looked at ({error})", remedy)
    notice = f"; {bundle.notice}" if bundle.notice else ""
    return Finding("weights", GOOD, f"{bundle.manifest['name']} in {bundle.path}{notice}")


def _disk(folder: Path) -> Finding:
    try:
        free_gb = shutil.disk_usage(folder).free / 1e9
    except OSError as error:
        return Finding("disk", NOTE, f"{folder}: {error.strerror}", "run it in a folder that is there")
    found = f"{free_gb:.1f} GB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding("disk", NOTE, f"{found}, which cannot be written to", "write results to another folder")
    if free_gb < LEAST_DISK_GB:
        return Finding("disk", NOTE, found, f"enough to predict; a full training may need {LEAST_DISK_GB:g} GB")
    return Finding("disk", GOOD, found)


def _temporary() -> Finding:
    try:
        with tempfile.TemporaryDirectory() as folder:
            return Finding("temporary files", GOOD, f"in {Path(folder).parent}")
    except OSError as error:
        return Finding("temporary files", BROKEN, str(error), "let $TMPDIR name a folder that can be written to")


def _shared_memory() -> Finding:
    if not SHARED.is_dir():
        return Finding("shared memory", GOOD, "this system has no /dev/shm")
    size_mb = shutil.disk_usage(SHARED).total / 1e6
    found = f"/dev/shm of {size_mb:.0f} MB"
    if not os.access(SHARED, os.W_OK | os.X_OK):
        return Finding("shared memory", NOTE, f"{found}, which cannot be written to", "evaluate with --workers 1")
    if size_mb < LEAST_SHARED_MB:
        remedy = "start the container with --shm-size=128m, or evaluate with --workers 1"
        return Finding("shared memory", NOTE, found, remedy)
    return Finding("shared memory", GOOD, found)


def _engine() -> Finding:
    """Docker or podman, as `vestibule check` looks for them."""
    wanted = os.environ.get("ENGINE")
    present = [name for name in ([wanted] if wanted else ["docker", "podman"]) if shutil.which(name)]
    if not present:
        return Finding("container engine", NOTE, "none", "only building and checking an image needs docker or podman")
    command = [present[0], "info"]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Finding("container engine", NOTE, f"{present[0]} does not answer", "start it")
    if ended.returncode:
        lines = ended.stderr.decode(errors="replace").strip().splitlines() or ["failed"]
        return Finding("container engine", NOTE, f"{present[0]}: {lines[-1]}", "start it, or ask for leave to use it")
    return Finding("container engine", GOOD, present[0])


def _slurm() -> Finding:
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        share = [f"job {job}"]
        for variable, unit in (("SLURM_CPUS_PER_TASK", "cores a task"), ("SLURM_GPUS_ON_NODE", "GPUs")):
            value = os.environ.get(variable)
            if value:
                share.append(f"{value} {unit}")
        return Finding("slurm", GOOD, ", ".join(share))
    if shutil.which("sbatch"):
        return Finding("slurm", NOTE, "here, and this is no job of it", "train in a job, by sbatch or srun")
    return Finding("slurm", GOOD, "not here")


def _text() -> Finding:
    """How names and messages are written and shown."""
    of_files = sys.getfilesystemencoding()
    shown = getattr(sys.stdout, "encoding", None) or "unknown"
    kind = os.environ.get("TERM", "unknown") if sys.stdout.isatty() else "no terminal"
    found = f"file names in {of_files}, output in {shown}, {kind}"
    if of_files.lower().replace("-", "") != "utf8":
        return Finding("text", NOTE, found, "export LC_ALL=C.UTF-8, or names beyond ASCII may not be found")
    if not shown.lower().startswith("utf"):
        return Finding("text", NOTE, found, "export LC_ALL=C.UTF-8, or tables are shown with marks of ASCII alone")
    return Finding("text", GOOD, found)
