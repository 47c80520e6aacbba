# `make help` prints the comments after the targets.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
BUILD := build/fortran
JOBS := $(shell nproc 2>/dev/null || echo 2)

# make dataset N=32768 SEED=1 DATASET=activation.nc
N := 32768
SEED := 1
DATASET := build/activation.nc
# make test PYTEST_ARGS='-m "not slow" tests/runtime'; make test PYTEST_ARGS= also runs the exhaustive tests
PYTEST_ARGS := -m "not exhaustive"
# make column PRESET=e3sm_mam5 uses the run in runs/e3sm_mam5
PRESET :=
RUN := runs/$(or $(PRESET),demo)
COLUMN := build/column/$(notdir $(RUN))
FLANG := flang-22
# In CI, warnings are errors; other compilers may warn about more. Two warnings of flang are switched off: a change of
# the standard after 2018, and a pointer that may outlive a call, which no procedure makes.
WERROR := $(if $(filter true,$(CI)),-Werror)
FLANG_WERROR := -pedantic $(WERROR) -Wno-f202-x-allocatable-breaking-change \
    -Wno-non-target-passed-to-target
# Debian packages that the tests need in addition. With CI=true they are installed, otherwise missing ones are reported.
TEST_PACKAGES := $(FLANG) $(FLANG:flang-%=libomp-%-dev) valgrind pkg-config \
    libopenblas-dev libnetcdff-dev libopenmpi-dev openmpi-bin
# make column UPDATE="docs/coupling.md docs/column_model.md"
UPDATE :=
# make bench BENCH_ARGS='--bundle runs/demo/bundle'
BENCH_ARGS :=

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The stand-ins for sources of hosts have the layout of these hosts, which the glue for them relies on.
FPRETTIFY := $(BIN)/fprettify -i 2 -l 120 -w 2 --exclude standins
# fprettify repeats its warnings, so each is printed once. It warns if a continuation line is too long after alignment
# and moves the line to the left. Break such a line by hand.
ONCE := awk '!/^WARNING:|auto indentation failed/ || !seen[$$0]++'
FORTRAN_FOLDERS := fortran coupling data_prep examples tests

# The installed package depends on these files. Folders are listed because deleting a file changes them.
PACKAGE_SOURCES := $(shell find python/emufort fortran \
    $(wildcard $(addprefix coupling/,python aerosol_activation face onnxruntime)) \
    -name __pycache__ -prune -o -name _fortran -prune -o -name '_native*' -prune -o -name '_trainer*' -prune -o -print) \
    CMakeLists.txt README.md LICENSE

.PHONY: help demo bench test lint templates format aerosol-contract dataset column setup clean tools column-tools test-tools

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18

demo: setup ## Search, retrain, time, select, export, verify and report on the embedded data: runs/demo
	$(BIN)/emufort run --out $(RUN)

bench: setup ## Compare inference with other libraries in runs/bench, and update the tables of docs/benchmark.md
	$(BIN)/emufort bench --out runs/bench --update docs/benchmark.md $(BENCH_ARGS)

test: setup test-tools ## Build and run the Fortran tests with gfortran, flang and valgrind, then the Python tests
	cmake -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=Release "-DCMAKE_Fortran_FLAGS=$(WERROR)" --log-level=WARNING
	cmake --build $(BUILD) --parallel $(JOBS)
	ctest --test-dir $(BUILD) --output-on-failure --parallel $(JOBS)
	@if command -v $(FLANG) >/dev/null; then \
	  set -x; \
	  cmake -S . -B build/flang -DEMUFORT_DATA_PREP=OFF -DCMAKE_Fortran_COMPILER=$(FLANG) \
	    -DCMAKE_BUILD_TYPE=Release "-DCMAKE_Fortran_FLAGS=$(FLANG_WERROR)" --log-level=WARNING; \
	  cmake --build build/flang --parallel $(JOBS); \
	  ctest --test-dir build/flang --output-on-failure --parallel $(JOBS); \
	else echo "SKIPPED: runtime and scheme are not tested with flang; apt-get install $(wordlist 1,2,$(TEST_PACKAGES))"; fi
	@if command -v valgrind >/dev/null; then \
	  set -x; \
	  cmake -S fortran -B $(BUILD)-valgrind -DCMAKE_BUILD_TYPE=Release -DEMUFORT_NATIVE=OFF -DEMUFORT_PACKAGE=OFF \
	    --log-level=WARNING; \
	  cmake --build $(BUILD)-valgrind --parallel $(JOBS) --target valgrind_tests; \
	  ctest --test-dir $(BUILD)-valgrind -C valgrind -L valgrind --output-on-failure --parallel $(JOBS); \
	else echo "SKIPPED: the runtime is not tested with valgrind; apt-get install valgrind"; fi
	OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

lint: $(STAMPS)/dependencies ## Check formatting, style and types; changes no file
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	@changes=$$($(FPRETTIFY) --diff --recursive $(FORTRAN_FOLDERS) 2>&1 | $(ONCE)); \
	if [ -n "$$changes" ]; then \
	  echo "$$changes"; \
	  echo "fprettify would change the Fortran sources above: run make format, and break lines that it cannot align" >&2; \
	  exit 1; \
	fi

templates: $(STAMPS)/dependencies ## Generate the sources in fortran/src that have a template in fortran/templates
	for template in fortran/templates/*.fypp; do \
	  $(BIN)/fypp $$template fortran/src/emufort_$$(basename $$template .fypp).F90; \
	done

format: $(STAMPS)/dependencies ## Format all sources as lint requires
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(FPRETTIFY) --recursive $(FORTRAN_FOLDERS) 2>&1 | $(ONCE)

aerosol-contract: setup ## Write the Fortran module of the contract `activation` again
	$(BIN)/python -m emufort.processes.aerosol_activation.fortran \
	  coupling/aerosol_activation/scheme/emufort_aerosol_contract.F90

dataset: setup ## Label a data set with the parcel model (N=32768 SEED=1 DATASET=build/activation.nc)
	mkdir -p $(dir $(DATASET))
	$(BIN)/python data_prep/make_dataset.py --train $(N) --seed $(SEED) --out $(DATASET)

COLUMN_MODEL := coupling/aerosol_activation/column_model
COLUMN_BIN := $(COLUMN)/fortran/$(COLUMN_MODEL)
column: setup column-tools ## Run the column model with the bundle of RUN or PRESET: profiles and errors in build/column
	@test -f $(RUN)/bundle/weights.bin || { \
	  echo "$(RUN) has no bundle: run $(if $(PRESET),emufort run --preset $(PRESET) --out $(RUN),make demo)," \
	    "or make column RUN=folder" >&2; exit 1; }
	mkdir -p $(COLUMN)
	$(BIN)/python $(COLUMN_MODEL)/write_contract.py $(RUN)/bundle $(COLUMN)/emufort_aerosol_contract.F90
	cmake -S . -B $(COLUMN)/fortran -DCMAKE_BUILD_TYPE=Release --log-level=WARNING \
	  -DEMUFORT_AEROSOL_CONTRACT=$(abspath $(COLUMN))/emufort_aerosol_contract.F90
	cmake --build $(COLUMN)/fortran --parallel $(JOBS) --target column_model measure_activation
	$(BIN)/python $(COLUMN_MODEL)/make_columns.py $(COLUMN)/columns.nc --bundle $(RUN)/bundle --outside 0
	printf "&column_nml\n input = '%s'\n output = '%s'\n weights = '%s'\n with_times = .true.\n/\n" \
	  $(COLUMN)/columns.nc $(COLUMN)/output.nc $(RUN)/bundle/weights.bin > $(COLUMN)/column.nml
	OMP_NUM_THREADS=$(JOBS) $(COLUMN_BIN)/column_model $(COLUMN)/column.nml | tee $(COLUMN)/log.txt
	$(BIN)/python $(COLUMN_MODEL)/draw_column.py $(COLUMN)/output.nc $(COLUMN) --log $(COLUMN)/log.txt \
	  --bundle $(RUN)/bundle --columns $(COLUMN)/columns.nc
	$(if $(UPDATE),$(COLUMN_BIN)/measure_activation $(RUN)/bundle/weights.bin > $(COLUMN)/outside.csv)
	$(if $(UPDATE),$(BIN)/python $(COLUMN_MODEL)/document_figures.py $(addprefix --update ,$(UPDATE)) $(COLUMN) \
	  $$(dirname build/column/*/outside.csv))

clean: ## Remove builds, caches, the virtual environment and runs/demo, but no other runs
	rm -rf build $(VENV) $(RUN) python/emufort/_fortran python/emufort/_native* python/emufort/_trainer*
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---------------------------------------------------------------- set-up
# A stamp is written when its step is complete, so an interrupted step is repeated.

setup: $(STAMPS)/package ## Create .venv and install emufort into it

# Checked every time, but order-only: an existing compiler does not trigger other steps.
tools:
	@missing=; \
	for tool in gfortran cmake; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing gcc libc6-dev; \
	else \
	  echo "emufort needs$$missing: run 'sudo apt-get install$$missing' or use the package manager of your system" >&2; \
	  exit 1; \
	fi

# With flang this is a download of 100 MB, so only CI installs the packages. Packages that apt does not offer are
# reported.
test-tools: | tools
	@[ "$${CI:-}" = true ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0; \
	missing=; \
	for package in $(TEST_PACKAGES); do \
	  dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || \
	    missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] && exit 0; \
	apt-get update -qq; \
	offered=; \
	for package in $$missing; do \
	  if apt-cache show $$package >/dev/null 2>&1; then offered="$$offered $$package"; \
	  else echo "apt does not offer $$package: its tests are skipped"; fi; \
	done; \
	[ -z "$$offered" ] && exit 0; \
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$offered

# Packages that the column model needs in addition. MPI is included because its Debian packages are small.
column-tools: | tools
	@missing=; \
	command -v nf-config >/dev/null || missing="$$missing libnetcdff-dev"; \
	command -v mpif90 >/dev/null || missing="$$missing libopenmpi-dev openmpi-bin"; \
	[ -z "$$missing" ] && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	elif command -v nf-config >/dev/null; then \
	  echo "without MPI: the column model runs on one process"; \
	else \
	  echo "the column model needs$$missing: install with 'sudo apt-get install$$missing'" >&2; exit 1; \
	fi

$(STAMPS)/venv: | tools
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    missing=; \
	    name=$$("$$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])'); \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing $$name-venv"; \
	    "$$python" -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || \
	      missing="$$missing $$name-dev"; \
	    if [ -z "$$missing" ]; then :; \
	    elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	         [ "$$("$$python" -c 'import sys; print(sys.base_prefix)')" = /usr ]; then \
	      apt-get update -qq; \
	      DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing; \
	    else \
	      echo "$$python needs the Debian packages$$missing (virtual environments, Python.h): install them" >&2; exit 1; \
	    fi; \
	    "$$python" -m venv $(VENV); mkdir -p $(STAMPS); touch $@; exit 0; \
	  fi; \
	done; \
	echo "emufort needs Python 3.11 or newer: install it, or run make PYTHON=/path/to/python3" >&2; exit 1

# torch is installed first and alone. With its exact version, pip takes a CPU build if it can find one; otherwise
# pip may choose a build with several GB of CUDA.
$(STAMPS)/dependencies: constraints.txt pyproject.toml $(STAMPS)/venv
	$(PIP) install --quiet --constraint constraints.txt torch
	@$(BIN)/python -c 'import tomllib; content = tomllib.load(open("pyproject.toml", "rb")); \
	project = content["project"]; extras = project["optional-dependencies"]; \
	print(*content["build-system"]["requires"], *project["dependencies"], *extras["dask"], *extras["dev"], \
	      sep="\n")' > $(STAMPS)/requirements.txt
	$(PIP) install --quiet --constraint constraints.txt --requirement $(STAMPS)/requirements.txt
	@touch $@

$(STAMPS)/package: $(STAMPS)/dependencies $(PACKAGE_SOURCES) | tools
	$(PIP) install --quiet --no-deps --no-build-isolation --force-reinstall .
	@touch $@
