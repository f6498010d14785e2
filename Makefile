# Everything happens in .venv, which makes itself from pyproject.toml.

# Bytecode is kept: the tests start processes by the hundred.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test smoke lint types test-networks test-mlir test-tosa test-tflite \
	test-torch test-torch-mlir test-ocr test-pages test-docs test-pruning test-sweep test-tables test-matrix \
	test-onnx fuzz \
	mutants shuffles cycles hostile replay roundtrips kills mutants-code published bench bench-networks docs printed clean
.DELETE_ON_ERROR:

demo: .venv/stamp
	$(BIN)/zeroskip demo

# Side by side, as each keeps one core busy.
test: .venv/stamp
	$(MAKE) --no-print-directory -j2 lint types
	OMP_NUM_THREADS=1 TVM_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile \
		-m "not slow and not ocr and not pages and not docs and not pruning and not sweep \
		and not tables and not matrix and not mlir and not tosa and not tflite and not torch \
		and not torchmlir"

# The tiny test on every other Python that there is, each in a virtual environment of its own.
OTHER_PYTHONS := $(foreach p,python3.12 python3.13,$(shell $(p) -c 'print("$(p)")' 2>/dev/null))
smoke: $(OTHER_PYTHONS:%=build/smoke-%/stamp)
	set -e; for p in $(OTHER_PYTHONS); do echo "$$p:"; \
		build/smoke-$$p/bin/python -m pytest -p no:cacheprovider tests/test_tiny.py; done

build/smoke-%/stamp: pyproject.toml
	$* -m venv build/smoke-$*
	build/smoke-$*/bin/python -m pip install --quiet --disable-pip-version-check -e . \
		$(shell grep -oE '"(pytest|hypothesis)==[0-9.]+"' pyproject.toml)
	touch $@

lint: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/stamp
	$(BIN)/mypy

# Whole 224x224 networks on every target.
test-networks: .venv/stamp
	$(BIN)/python -m pytest -m "slow and not mlir"

# The three networks inside rapidocr-onnxruntime.
test-ocr: .venv/stamp-ocr
	$(BIN)/python -m pytest -m ocr

# The pages in Chromium, which the system has (Debian's chromium) or `playwright install chromium`
# fetches: wide and narrow, light and dark, with clicks. A timeline in Perfetto's page, asked by SQL.
test-pages: .venv/stamp-pages
	$(BIN)/python -m pytest -m pages

# Every command of the pages, as it stands there.
test-docs: .venv/stamp
	$(BIN)/python -m pytest -m docs

# MLIR itself: its verifier on programs, its JIT as a second reference.
test-mlir: .venv/stamp-mlir
	$(BIN)/python -m pytest -m mlir

# Arm's reference model of TOSA (Apache-2.0), in an environment of its own: it pins an older numpy.
test-tosa: .venv/stamp build/tosa/stamp
	$(BIN)/python -m pytest -m tosa

build/tosa/stamp:
	$(PYTHON) -m venv build/tosa
	build/tosa/bin/python -m pip install --quiet --disable-pip-version-check tosa-tools==2026.8.0
	touch $@

# TFLite through Arm's converter to TOSA (Apache-2.0).
test-tflite: .venv/stamp-tflite
	$(BIN)/python -m pytest -m tflite

# PyTorch's modules and programs; what Torch-Pruning and Keras make of them.
test-torch: .venv/stamp-torch
	$(BIN)/python -m pytest -m torch

# torch-mlir (Apache-2.0 with LLVM exceptions) as it writes TOSA today.
test-torch-mlir: .venv/stamp-torch-mlir
	$(BIN)/python -m pytest -m torchmlir

# Every pruning scheme on every target.
test-pruning: .venv/stamp
	$(BIN)/python -m pytest -m pruning

# A sweep of 60 points over three networks, killed twice: the same table as of one that was not.
test-sweep: .venv/stamp
	$(BIN)/python -m pytest -m sweep

# The tables of the pages by the commands that they name: whole, where `make test` makes a slice.
# Fitted weights depend on the order in which BLAS sums: one set of kernels on every processor.
test-tables: .venv/stamp
	OPENBLAS_CORETYPE=Haswell $(BIN)/python -m pytest -m tables

# Tests of several parameters in every combination, where `make test` tries every value once; larger
# samples, and more of what costs much.
test-matrix: .venv/stamp
	OMP_NUM_THREADS=1 TVM_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m matrix

# Every case that ONNX's own generator makes, as it is and with inputs frozen; some 20 minutes.
test-onnx: .venv/stamp
	$(CAMPAIGN).onnx_backend --jobs $(JOBS)

# The campaigns of docs/TRUST.md. Each prints its tables; N cases from SEED on, in JOBS processes.
SEED ?= 0
JOBS ?= 2
CAMPAIGN = OMP_NUM_THREADS=1 TVM_NUM_THREADS=1 $(BIN)/python -m tests.campaigns

# Random networks on random hardware against a dense integer oracle, M of them against TVM too.
fuzz: N ?= 10000
fuzz: M ?= 2000
fuzz: .venv/stamp
	$(CAMPAIGN).fuzz --count $(N) --tvm $(M) --seed $(SEED) --jobs $(JOBS)

# Programs with one mistake each: all must be found, or shown to be none.
mutants: .venv/stamp
	$(CAMPAIGN).mutants --seed $(SEED) --jobs $(JOBS)

# Programs in N legal orders.
shuffles: N ?= 200
shuffles: .venv/stamp
	$(CAMPAIGN).shuffles --seeds $(N) --seed $(SEED) --jobs $(JOBS)

# The machine's times and counts against references that step clock by clock.
cycles: N ?= 2000
cycles: .venv/stamp
	$(CAMPAIGN).cycles --count $(N) --seed $(SEED) --jobs $(JOBS)

# Altered programs and networks, as well as hardware descriptions, M ONNX files, R Relay ones and R of
# TOSA.
hostile: N ?= 200000
hostile: M ?= 5000
hostile: R ?= 20000
hostile: .venv/stamp
	$(CAMPAIGN).hostile --count $(N) --onnx $(M) --relay $(R) --tosa $(R) --seed $(SEED) --jobs $(JOBS)

# Random instructions through assembler and encoder and back.
roundtrips: N ?= 100000
roundtrips: .venv/stamp
	$(CAMPAIGN).roundtrips --count $(N) --seed $(SEED)

# Compilers killed N times never leave half a file.
kills: N ?= 300
kills: .venv/stamp
	$(CAMPAIGN).kills --count $(N) --seed $(SEED) --jobs $(JOBS)

# Programs and reports of some 70 compiles against the committed table; RENEW=1 writes it anew.
replay: .venv/stamp
	$(CAMPAIGN).replay --jobs $(JOBS) $(if $(RENEW),--renew)

# Our own code with one mistake at a time, which the tests that are named for it must notice. ONLY: those
# with this in their file or their words.
mutants-code: ONLY ?=
mutants-code: .venv/stamp
	$(BIN)/python -m tests.mutants_code --only "$(ONLY)" --jobs $(JOBS)

# Figures that publications give of their accelerators, beside those of the models.
published: .venv/stamp
	$(BIN)/python -m benchmarks.published

# Every figure that has a target; then whole networks on all targets.
bench: .venv/stamp
	$(BIN)/python benchmarks/bench.py

bench-networks: .venv/stamp
	$(BIN)/python benchmarks/networks.py

# The site in build/site: pages printed anew, then all of them; a broken link ends it.
docs: printed .venv/stamp-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The pages, and parts of pages, that are printed from declarations, scripts and a report.
printed: .venv/stamp
	$(BIN)/python -c 'from zeroskip.accel_model.isa.assembly import manual; print(manual(), end="")' \
		> docs/ISA.md
	$(BIN)/python -c 'from zeroskip.compiler.lowering.legality import manual; print(manual(), end="")' \
		> docs/SUPPORTED.md
	$(BIN)/python -c 'from zeroskip.compiler.mlir.dialect import irdl; print(irdl(), end="")' \
		> docs/zeroskip.irdl.mlir
	$(BIN)/python -c 'from pathlib import Path; \
		from zeroskip.relay_passes.pruning.docs import manual; \
		page = Path("docs/PRUNING.md"); page.write_text(manual(page.read_text()))'
	$(BIN)/python -c 'from pathlib import Path; \
		from zeroskip.accel_model.physics.page import manual; \
		from zeroskip.accel_model.spec import load_spec, targets; \
		page = Path("docs/PHYSICS.md"); \
		page.write_text(manual(page.read_text(), list(map(load_spec, targets()))))'
	$(BIN)/python -m docs.site.tutorials
	$(BIN)/python -m docs.site.first_page

.venv/stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e '.[dev]'
	$(BIN)/zeroskip doctor --compile
	touch $@

.venv/stamp-ocr: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,ocr]'
	touch $@

.venv/stamp-tflite: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,tflite]'
	touch $@

.venv/stamp-pages: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,pages]'
	touch $@

.venv/stamp-docs: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,docs]'
	touch $@

.venv/stamp-torch: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,torch]' \
		torch-pruning==1.6.1 keras==3.15.1 nbclient==0.11.0 ipykernel==7.3.0
	touch $@

.venv/stamp-torch-mlir: .venv/stamp-torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch-mlir==20261001 torchao==0.18.0
	touch $@

.venv/stamp-mlir: .venv/stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,oracle]'
	touch $@

clean:
	rm -rf .venv build *.egg-info out
