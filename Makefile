# Everything lives in .venv; the first call of a target sets up what it needs, later calls are quick.
#
#   make run      the whole system on this machine, without hardware (no torch)
#   make test     all tests (installs torch)
#   make test-fast    the pure tests, under 90 s on a quiet machine with two cores
#   make check    formatting, linter, types, import contracts
#   make bench    timings
#   make docs     the documentation site, into build/site
#   make deb      the Debian package of this commit, into build/deb (ARGS="--suite trixie --arch arm64")
#   make try-deb PACKAGE=FILE    as root: a package in a clean Debian (ARGS="--suite trixie"; ten minutes)
#   make try-pages PACKAGE=FILE    as root: docs/operate typed literally in it, up to measured slaves (half an hour)
#   make audit    look the locked dependencies up among known weaknesses (ARGS="--advisories FILE": without a network)
#   make release KEY=FILE    sign the packages of build/deb (packaging/release.py)
#   make safety   the safety floor's own tests with branch coverage, the referee, short forms of the campaigns
#   make faults   every row of the fault table, injected into the whole daemon (docs/results/safety-campaigns.md)
#   make soak     72 simulated hours under a storm of faults (ARGS="--real-time 60": an hour in real time)
#   make safety-long    the campaigns at full length, the mutation run and the fuzz (3 h; ARGS="--minutes 60 --jobs 1")
#   make setup-sweep    Ray, for sweeps over settings (python -m training.sweep)
#   make lock     resolve the locked dependencies again
#   make train-champion TRACES=DIR    train the policy that ships (under two hours; ARGS=--short: minutes)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# the first Python of the system that is new enough
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)

export ORT_DISABLE_TELEMETRY = 1

.PHONY: setup setup-dev setup-sweep run test test-fast check bench docs deb try-deb try-pages audit release safety safety-long faults soak lock \
	train-champion clean

setup: $(VENV)/.run-stamp

setup-dev: $(VENV)/.dev-stamp

# what sweeps need beside it (Ray); without it the tests of sweeps on Ray are skipped
setup-sweep: $(VENV)/.sweep-stamp

run: setup
	exec $(BIN)/sunkeep run $(ARGS)

# what waits for nothing: no wire, no daemon, no training
FAST := $(addprefix tests/,core docs models safety test_house.py) \
	$(addprefix tests/daemon/,config journal system)

# half of the time of the tests is waiting for a wire or a clock: two processes per core, a file to each; files
# with a slow test come first (tests/conftest.py), so that no process is left alone with one at the end
TEST_PROCESSES = $(shell echo $$((2 * $$(nproc))))
test: setup-dev
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: setup-dev
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow" \
	  --ignore tests/safety/search $(FAST) $(ARGS)

check: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup-dev
	$(BIN)/python -m benchmarks $(ARGS)

docs: setup-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict $(ARGS)

deb: setup
	$(BIN)/python packaging/build_deb.py $(ARGS)

release: setup
	@if [ -z "$(KEY)" ]; then echo "Name the signing key: make release KEY=FILE"; exit 2; fi
	$(BIN)/python packaging/release.py sign build/deb --key "$(KEY)"

try-deb: setup
	@if [ -z "$(PACKAGE)" ]; then echo "Name the package: make try-deb PACKAGE=build/deb/FILE"; exit 2; fi
	$(BIN)/python packaging/try_deb.py $(or $(ARGS),--suite bookworm) "$(PACKAGE)"

try-pages: setup
	@if [ -z "$(PACKAGE)" ]; then echo "Name the package: make try-pages PACKAGE=build/deb/FILE"; exit 2; fi
	$(BIN)/python packaging/try_pages.py $(or $(ARGS),--suite bookworm) "$(PACKAGE)"

audit: setup
	$(BIN)/python packaging/audit.py $(ARGS)

safety: setup-dev
	$(BIN)/python -m pytest tests/core tests/safety --cov=core --cov=safety --cov-report=term-missing $(ARGS)
	$(BIN)/python -m pytest tests/referee tests/campaigns tests/faults tests/soak

faults: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults $(ARGS)

soak: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.soak $(ARGS)

safety-long: setup-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.campaigns.long $(ARGS)

# one thread: small networks are many times slower with two on a busy machine
train-champion: setup-dev
	@if [ -z "$(TRACES)" ]; then echo "Give the folder of measured days: make train-champion TRACES=DIR"; exit 2; fi
	OMP_NUM_THREADS=1 $(BIN)/python -m training.champion.train --traces "$(TRACES)" --out "$(or $(OUT),runs/champion)" $(ARGS)

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then
	  echo "Sunkeep needs Python 3.11 or newer, and none was found ($$(python3 -V 2>&1 || true))."
	  echo "Install it, or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"
	  exit 1
	fi
	if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then
	  echo "Python's venv module is missing. On Debian: apt install python3-venv"
	  exit 1
	fi
	"$(PYTHON)" -m venv "$(VENV)"

$(VENV)/.run-stamp: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies into $(VENV) (once, a minute or two) ..."
	$(PIP) install --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev-stamp: requirements-dev.lock $(VENV)/.run-stamp
	@echo "Installing the tools of tests and training into $(VENV) (once) ..."
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install $(TORCH)
	touch $@

$(VENV)/.sweep-stamp: requirements-sweep.lock $(VENV)/.dev-stamp
	@echo "Installing Ray into $(VENV) (once) ..."
	$(PIP) install --require-hashes -r requirements-sweep.lock
	touch $@

# needs uv; the index is the resolver's own business and is never written down
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header --no-annotate --no-strip-extras

lock:
	$(COMPILE) pyproject.toml --extra notify --output-file requirements.lock
	python3 .ci/extras.py build-system | $(COMPILE) - --constraints requirements.lock --output-file requirements-build.lock
	python3 .ci/extras.py dev docs train | $(COMPILE) - --constraints requirements.lock \
	  --constraints requirements-build.lock --output-file requirements-dev.lock
	python3 .ci/extras.py sweep | $(COMPILE) - --constraints requirements.lock --constraints requirements-build.lock \
	  --constraints requirements-dev.lock --output-file requirements-sweep.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis build dist
