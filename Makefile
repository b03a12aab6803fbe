# `make app`, `make lab` and `make test` do everything from a bare clone; the second call is instant.
# CUDA or another build of torch: make install TORCH_INDEX=<wheel index of that build>
PYTHON ?= python3
VENV ?= .venv
EXTRAS ?= collect,lab,dev
TORCH_VERSION ?= $(shell sed -n 's/^torch==//p' constraints.txt)
TORCH_INDEX ?=

comma := ,
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: install app lab test lint
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

lab: install
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=notebooks

test: install
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest

lint: install
	$(BIN)/python -m ruff format .
	$(BIN)/python -m ruff check --fix .
