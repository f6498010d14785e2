# Everything happens in .venv, which makes itself from pyproject.toml.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PACKAGES := accel_model relay_passes compiler runtime

.PHONY: demo test lint types test-networks test-ocr fuzz bench docs clean
.DELETE_ON_ERROR:

demo: .venv/stamp
	$(BIN)/zeroskip demo

test: lint types
	$(BIN)/python -m pytest -m "not slow and not ocr"

lint: .venv/stamp
	$(BIN)/ruff check .

# The folders are packages of the namespace zeroskip; mypy finds them through links.
types: .venv/stamp
	mkdir -p build/mypy/zeroskip
	for name in $(PACKAGES); do ln -sfn ../../../$$name build/mypy/zeroskip/$$name; done
	MYPYPATH=build/mypy $(BIN)/mypy -p zeroskip

# Whole 224x224 networks on every target.
test-networks: .venv/stamp
	$(BIN)/python -m pytest -m slow

# The three networks inside rapidocr-onnxruntime.
test-ocr: .venv/stamp-ocr
	$(BIN)/python -m pytest -m ocr

# Random networks against a dense integer oracle: make fuzz N=1000 SEED=0.
N ?= 500
SEED ?= 0
fuzz: .venv/stamp
	$(BIN)/python -m tests.compiler.fuzz --count $(N) --seed $(SEED)

bench: .venv/stamp
	$(BIN)/python benchmarks/networks.py

# The pages that are printed from the declarations.
docs: .venv/stamp
	$(BIN)/python -c 'from zeroskip.accel_model.assembly import manual; print(manual(), end="")' \
		> docs/ISA.md
	$(BIN)/python -c 'from zeroskip.compiler.support import manual; print(manual(), end="")' \
		> docs/SUPPORTED.md

.venv/stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

.venv/stamp-ocr: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,ocr]'
	touch $@

clean:
	rm -rf .venv build *.egg-info out
