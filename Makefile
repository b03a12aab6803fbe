# `make app`, `make lab` and `make test` do everything from a bare clone; the second call is instant.
# CUDA or another build of torch: make install TORCH_INDEX=<wheel index of that build>
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= collect,lab,dev,docs
TORCH_VERSION ?= $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX ?=

comma := ,
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: install app lab docs test other-torch test-other-torch campaign sbom audit bench lint
install: $(STAMP)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make install PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet torch==$(TORCH_VERSION) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet -e '.[$(EXTRAS)]' -c constraints.txt
	touch $@

app: install
	$(BIN)/python -m streamlit run app.py

# jupyter/ keeps JupyterLab from asking the network for news and newer versions, and lets root open it:
# in a container there is often nobody else.
lab: export JUPYTER_CONFIG_PATH := $(CURDIR)/jupyter
lab: install
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=notebooks

# The documentation, build/site/index.html: built without a network, the lessons executed, a warning
# is an error. What was executed is kept in build/ until the package or a notebook changes.
docs: install
	$(BIN)/python -m sphinx --quiet --nitpicky --fail-on-warning --keep-going \
		--doctree-dir build/site.doctrees docs build/site
	@echo "open build/site/index.html"

test: install
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest

# Acting and tuning under another torch, beside the rest of $(VENV). Its wheel may bring gigabytes of
# CUDA along; make test-other-torch OTHER_TORCH=2.15.0 takes another one.
OTHER_TORCH ?= 2.14.1
OTHER := .venv-torch
SITE = $(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
other-torch: $(OTHER)/.$(OTHER_TORCH)
$(OTHER)/.$(OTHER_TORCH): $(STAMP)
	$(BIN)/python -m venv --clear $(OTHER)
	$(OTHER)/bin/python -m pip install --quiet torch==$(OTHER_TORCH)
	$(call SITE,$(BIN)/..) > "$$($(call SITE,$(OTHER)))/workbench.pth"
	touch $@

test-other-torch: other-torch
	PYTHONPATH=. $(OTHER)/bin/python -m pytest tests/networks tests/methods tests/tuning \
		--ignore=tests/networks/fast/test_memory.py

# Malformed inputs and killed writers, then a class of 20 for ten minutes, in the numbers of
# docs/trust.md: its table, and its figure in build/ (make campaign CLASS=--keep: in docs/).
CLASS ?=
campaign: install
	WORKBENCH_CAMPAIGN=1 $(BIN)/python -m pytest tests/test_campaign.py tests/test_faults.py tests/runs/test_crash.py
	$(BIN)/python -m tests.campaign.a_class $(CLASS)

# A bill of materials of what is installed, with licences: build/sbom.cdx.json (CycloneDX). Its tool
# has an environment of its own; what it says comes from this machine alone.
TOOLS := build/audit
$(TOOLS)/.%: | $(VENV)/bin/python
	test -x $(TOOLS)/bin/python || $(BIN)/python -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet $*
	touch $@

sbom: install $(TOOLS)/.cyclonedx-bom
	$(TOOLS)/bin/python -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file build/sbom.cdx.json $(BIN)/python

# Known weaknesses of the pinned packages. It asks the registry: behind a mirror that does not know
# weaknesses it fails, and says of which packages.
audit: sbom $(TOOLS)/.pip-audit
	$(TOOLS)/bin/python -m pip_audit --strict --no-deps --disable-pip --requirement constraints.txt

# Speed beside other packages, which live in .venv-bench and take torch and the rest from $(VENV).
# make bench ARGS="--only cheetah ant" runs a part; ARGS="--help" names the parts.
ARGS ?=
BENCH := .venv-bench
$(BENCH)/.installed: $(STAMP) tests/benchmarks/peers.txt
	$(BIN)/python -m venv --clear $(BENCH)
	$(call SITE,$(BIN)/..) > "$$($(call SITE,$(BENCH)))/workbench.pth"
	$(BENCH)/bin/python -m pip install --quiet --no-deps -r tests/benchmarks/peers.txt
	touch $@

bench: install $(BENCH)/.installed
	OMP_NUM_THREADS=1 PYTHONPATH=. $(BENCH)/bin/python -m tests.benchmarks $(ARGS)

lint: install
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m mypy
