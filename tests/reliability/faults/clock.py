"""Another time of day for single processes: a library of a few lines in C, loaded before all others.

The time that the kernel gives to files stays the machine's, as it does where a clock jumps.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

static long shift_seconds;

void shift_clock(long seconds) { shift_seconds = seconds; }

int clock_gettime(clockid_t which, struct timespec *now) {
    static int (*of_system)(clockid_t, struct timespec *);
    if (!of_system) of_system = dlsym(RTLD_NEXT, "clock_gettime");
    int result = of_system(which, now);
    if (result == 0 && which == CLOCK_REALTIME) now->tv_sec += shift_seconds;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now != NULL) *now = exact.tv_sec;
    return exact.tv_sec;
}
"""
LIBRARY = "FAULTS_CLOCK"
"""Environment variable with the library's place, in a process that was started with it."""


def start_again_with_library() -> None:
    """Start this program again with the library, once; without a compiler of C it goes on as it is."""
    compiler = shutil.which("cc")
    if LIBRARY in os.environ or compiler is None:
        return
    folder = Path(tempfile.mkdtemp(prefix="faults-clock-"))
    library = build(folder, compiler)
    environment = os.environ | {LIBRARY: str(library), "LD_PRELOAD": str(library)}
    done = subprocess.run([sys.executable, *sys.orig_argv[1:]], env=environment, check=False)
    shutil.rmtree(folder)
    sys.exit(done.returncode)


def build(folder: Path, compiler: str) -> Path:
    """The library, made in `folder`."""
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SOURCE)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def can_shift() -> bool:
    """Whether this process was started with the library."""
    return LIBRARY in os.environ


def shift(seconds: int) -> None:
    """Let the clock of this process, and of those that it forks, be so many seconds ahead."""
    ctypes.CDLL(os.environ[LIBRARY]).shift_clock(ctypes.c_long(seconds))
