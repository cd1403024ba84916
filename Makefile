# Two commands matter: `make demo` and `make test`. Both set up everything they need in .venv.
PYTHON ?= python3
PYTHON310 ?= $(shell for p in python3.10 $(HOME)/.pyenv/versions/3.10*/bin/python3.10; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# Two test processes or more, one thread each: PyTorch's own threads gain nothing on small networks.
PARALLEL := -n auto --maxprocesses 4
export OMP_NUM_THREADS ?= 1
# A board's TensorRT and OpenCV come with its system, and are seen from there alone.
SYSTEM := $(if $(filter aarch64,$(shell uname -m)),--system-site-packages)

.PHONY: demo test test-py310 test-slow check format compare compare-page bench-check models weights networks scores soak site site-check clean

demo: .venv/.demo-installed
	$(BIN)/python scripts/demo.py

test: .venv/.dev-installed $(if $(PYTHON310),.venv310/.installed)
	scripts/check
	$(BIN)/pytest -m "not slow" $(PARALLEL)
	@$(MAKE) --no-print-directory test-py310

# A board's Python (JetPack 6), without torch: what runs there is tested there.
test-py310:
ifeq ($(PYTHON310),)
	@echo "skipped: no Python 3.10 found, the one of JetPack 6; name one with make test-py310 PYTHON310=..."
else
	@$(MAKE) --no-print-directory .venv310/.installed
	.venv310/bin/pytest -m "not slow" -q $(PARALLEL)
endif

test-slow: .venv/.dev-installed
	$(BIN)/pytest -m slow

check: .venv/.dev-installed
	scripts/check

format: .venv/.dev-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# RDSRN against RDN, CARN and the default network on this machine, from nothing.
compare: .venv/.dev-installed
	$(BIN)/python scripts/compare.py

# What `make compare` measured, into README.md and docs/benchmarks.md.
compare-page: .venv/.dev-installed
	$(BIN)/python scripts/compare_page.py --keep compare/report.json

# Slower than the last commit, or than main? Exits 1 where it is; takes minutes. Another revision: AGAINST=v0.1.0.
# Where the old one does not fit today's benchmarks: RULER=old.
bench-check: .venv/.dev-installed
	$(BIN)/python scripts/bench_check.py $(AGAINST:%=--against %) $(RULER:%=--ruler %)

# The default network's two ONNX files for each scale, from the checkpoints that they must equal (tests/export/test_shipped.py).
models: .venv/.dev-installed
	for scale in 2 3 4; do \
		weights=train/weights/ecbsr_x$$scale.safetensors; model=runtime/models/ecbsr_x$$scale; \
		$(BIN)/edgesr-export $$weights -o $$model.onnx --force && \
		$(BIN)/edgesr-export $$weights -o $$model.cpu.onnx --target cpu --force || exit 1; \
	done

# The weights in train/weights, from nothing: days on two cores, hours on a GPU. DATA: folder of the images (see the recipes).
DATA ?= ../shared/data
weights: .venv/.dev-installed
	$(BIN)/python scripts/ship.py train --root $(DATA)
	$(BIN)/python scripts/ship.py page

# The table of docs/networks.md, from the code; a test fails where it has drifted.
networks: .venv/.dev-installed
	$(BIN)/python scripts/networks_page.py
	$(BIN)/python scripts/networks_plan.py

# What the authors' published checkpoints score through our importer; needs the files (see the script).
scores: .venv/.dev-installed
	$(BIN)/python scripts/score_published.py

# Live streams for half an hour with faults on purpose; the report is docs/soak.md.
MINUTES ?= 30
soak: .venv/.dev-installed
	$(BIN)/python scripts/soak.py --minutes $(MINUTES) -o benchmarks/results/soak.json --page docs/soak.md --force

# The documentation, into ./site; its pages open from the disk, its search wants a server (python3 -m http.server -d site).
site: .venv/.docs-installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

# Links, anchors, commands and programs of the documentation.
site-check: .venv/.dev-installed
	$(BIN)/pytest -m "not slow" tests/test_site.py

clean:
	rm -rf .venv .venv310 build dist *.egg-info demo compare site .bench

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "edgesr needs Python 3.10 or later; found $$($(PYTHON) --version). Name one: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(SYSTEM) .venv

.venv/.demo-installed: pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	touch $@

.venv/.dev-installed: pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@ .venv/.demo-installed

.venv/.docs-installed: pyproject.toml setup.py | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	touch $@

.venv310/.installed: pyproject.toml setup.py
	$(PYTHON310) -m venv .venv310
	.venv310/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench,trust,web]' 'onnx>=1.16' 'pytest>=8' 'pytest-xdist>=3.5'
	touch $@
