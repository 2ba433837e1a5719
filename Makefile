# Each target works on a fresh checkout with Python 3.11, make and the package registry.
PYTHON ?= python3
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Where it is set, each of the tests' processes compiles all of the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-live test tests sweep fuzz bench bench-captions lint clean

demo: .venv/core  ## simulated camera → extract → train → evaluate → report.html, offline
	$(BIN)/wsvad demo

demo-live: .venv/core  ## a simulated camera over RTSP → watched → alert → its clip, offline
	$(BIN)/python examples/cameras/demo.py

test: .venv/dev  ## what continuous integration runs: types are checked beside the tests, on a processor that is free
	$(MAKE) --jobs 2 lint tests

# In the order of their names: the long files of e2e come first, and small ones are left for the end.
tests: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

sweep: .venv/dev  ## the same tests at every moment, signal and kind of file that each of them knows; for a release
	WSVAD_SWEEP=full $(MAKE) tests

bench-captions: .venv/dev  ## methods on the captions of UCF-Crime, where they lie beside the project
	$(BIN)/python benchmarks/captions.py ../shared/data/ucf-crime-captions

lint: .venv/dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fuzz: .venv/dev  ## 5,000 damaged files of each kind; the counts are kept in benchmarks/results/fuzz.md
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzz.py

bench: .venv/dev  ## slow proofs; results are kept in benchmarks/results
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/extraction.py
	$(BIN)/python benchmarks/long.py

.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv wsvad-demo wsvad-demo-live
