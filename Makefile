# `make demo` and `make test` do all their own set-up; both work on a fresh machine with Python 3.11 or 3.12.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= runs/demo
CONFIG ?= configs/phantom.yaml
TORCH := 2.13.0
TORCHVISION := 0.28.0

.PHONY: venv demo test package gpu faults fuzz load audit docs lint container adapter cluster clean

venv: $(VENV)/installed

# torch comes first and alone: any other package would pull in its newest CUDA build. Without a GPU the CPU build is
# asked for by its local version, so that pip fails rather than fetch gigabytes of CUDA packages.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(tools/torch_requirement.sh $(TORCH))" || { \
	  echo "torch $(TORCH) was not found: see 'The right torch' in README.md" >&2; exit 1; }
	tools/torchvision.sh $(BIN)/python $(TORCHVISION)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[training,evaluation,dicom,onnx,hf,monai,cluster,dev]'
	touch $@

demo: venv
	RUN=$(RUN) CONFIG=$(CONFIG) BIN=$(BIN) tools/demo.sh

test: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tools/density.py vestibule training evaluation --at-most 5.0
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "not container and not adapter and not cluster and not gpu" $(ARGS)

# The source archive and the wheel, which is installed into an empty environment and tried there.
package:
	PYTHON=$(PYTHON) tools/package.sh $(TORCH) $(TORCHVISION)

# What only a GPU shows: ARGS="-k prediction". The environment's torch must be one for CUDA.
gpu: venv
	@$(BIN)/python -c "import torch; raise SystemExit(not torch.cuda.is_available())" || { \
	  echo "make gpu: no CUDA device, or a torch for the CPU; see docs/how-to/devices.md" >&2; exit 1; }
	$(BIN)/python -m pytest -m gpu tests $(ARGS)

# Kills, signals, full disks, damage and more, done to runs of every stage: ARGS="--seed 1", or --help. A full disk needs root.
faults: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability.faults $(ARGS)

# Thousands of damaged files through everything that reads any: ARGS="--seed 1 --count 20000", or --help.
fuzz: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability.fuzz $(ARGS)

# Every boundary to what comes from outside, then the packages of the images: bills of materials in build/audit/.
BOUNDARIES := tests/reliability/audit tests/contract/test_archive.py tests/contract/test_predictions.py \
  tests/vestibule/test_bundle_check.py tests/vestibule/test_metaimage.py tests/vestibule/test_serve.py \
  tests/vestibule/test_weights.py tests/evaluation/platform
audit: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q $(BOUNDARIES) $(ARGS)
	$(BIN)/python tools/audit.py

# A thousand cases through one prediction and through the server.
load: venv
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.reliability.load $(ARGS)

# The site needs packages of its own, which nothing else does.
$(VENV)/docs: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	touch $@

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "the documentation is in site/index.html"

container: venv
	$(BIN)/python -m pytest -m container -rs --durations 10 $(ARGS)

# The submission and the evaluation driven by the platform's own adapter, which is installed into build/adapter.
adapter: venv
	$(BIN)/python -m pytest -m adapter -rs --durations 5 tests/adapter $(ARGS)

# Jobs on a real Slurm, which is installed and started where it can be.
cluster: venv
	$(BIN)/python -m pytest -m cluster -rs --durations 10 tests/cluster $(ARGS)

lint: venv
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(RUN) site .mypy_cache .pytest_cache .ruff_cache
