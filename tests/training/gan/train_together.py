"""What `test_distributed.py` lets torchrun start: the shared stages of a configuration, in a run."""

import sys
from pathlib import Path

from training.config import read_config
from training.runner import run_stage

for name in ("cyclegan", "pix2pix"):
    run_stage(name, read_config(Path(sys.argv[1])), Path(sys.argv[2]), print)
