# Every target first makes a virtual environment in .venv with the pinned packages of
# constraints.txt. An existing .venv is used; packages are installed again only when
# pyproject.toml or constraints.txt change.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.pdray-ready
# Commands that may be a supported Python; the first one that is there makes the environment.
PYTHONS := python3 python3.11 python3.12 python3.13 python3.14
OUTPUT := $(CURDIR)/pdray_output
FREE_GB := 8

# The name of the demo's study contains a checksum of code and settings: a second run continues the
# study or, if it is complete, prints its results again; changed code starts a new study.
STUDY = demo-$(shell cat search_spaces/demo.yaml $$(find pdray -name '*.py' | sort) | cksum | cut -d' ' -f1)

# pip and the jobs must not see another environment's packages.
unexport PYTHONPATH PYTHONHOME

# Percentage of the faults put into a file that its tests must notice.
MUTATION_SCORE := 90

.PHONY: help demo head submit head-stop test pythons lint integration slow chaos mutation audit \
  bench docs ci clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: $(READY) ## draw the SYNTHETIC cohort and search a network on it
	@$(PYTHON) jobs/make_demo.py folder="$(OUTPUT)/demo/cohort"
	@$(PYTHON) jobs/tune_tsa.py --config search_spaces/demo.yaml search.name=$(STUDY) \
	  data.manifest="$(OUTPUT)/demo/cohort/manifest.csv" output="$(OUTPUT)/demo"

head: $(READY) ## start Ray and MLflow on this machine, for submitted jobs
	@$(PYTHON) jobs/start_head.py output="$(OUTPUT)"

submit: $(READY) ## submit a study to the head: CONFIG=... MANIFEST=... NAME=...
	@$(PYTHON) jobs/submit.py space="$(CONFIG)" manifest="$(MANIFEST)" name="$(NAME)" \
	  output="$(OUTPUT)"

head-stop: $(READY) ## end what make head started, and nothing else
	@$(PYTHON) jobs/stop_head.py output="$(OUTPUT)"

# One thread per process, because the processes already share the cores.
test: $(READY) ## run the unit tests
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -q -n auto --maxprocesses 8

# A further Python gets an environment of its own: some minutes and 5 GB each.
pythons: ## run the unit tests on the newest supported Python that is here
	@newest=; \
	for name in python3.14 python3.13 python3.12 python3.11; do \
	  if "$$name" -c '' 2>/dev/null; then newest=$$name; break; \
	  else echo "$$name is not on this machine"; fi; \
	done; \
	if [[ -z $$newest ]]; then exit 1; fi; \
	$(MAKE) --no-print-directory $(READY) && \
	if [[ $$newest == $$($(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])') ]]; \
	then echo "$$newest is the newest; make test runs on it"; \
	else $(MAKE) --no-print-directory test VENV=.venv-newest PYTHONS=$$newest; fi

lint: $(READY) ## check style, types and import contracts
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(VENV)/bin/lint-imports --no-cache

# MediaPipe without what it names and does not need here: its OpenCV would replace the headless one.
integration: $(READY) ## run the tests that start Ray and MLflow, including a submitted job
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt \
	  mediapipe absl-py flatbuffers sounddevice || echo 'no MediaPipe: the test that needs it is skipped'
	@$(PYTHON) -m pytest -q --durations=12 -m 'integration and not slow and not chaos'

slow: $(READY) ## run the tests of whole searches and tables; takes some minutes
	@$(PYTHON) -m pytest -q -m slow

chaos: $(READY) ## run the tests that kill processes and cut networks; takes many minutes
	@$(PYTHON) -m pytest -q -m chaos

# A fault that makes a test run for ever also counts as noticed: the test is stopped.
mutation: $(READY) ## put faults into six files and count those that tests notice; takes 10 minutes
	@rm -rf mutants
	@OMP_NUM_THREADS=1 $(VENV)/bin/mutmut run --max-children 2
	@$(VENV)/bin/mutmut results
	@$(VENV)/bin/mutmut results --all true | awk -F': ' -v least=$(MUTATION_SCORE) ' \
	  {sub(/^ +/, "", $$1); sub(/\.[^.]*$$/, "", $$1); all[$$1]++} \
	  $$2 == "killed" || $$2 == "timeout" {noticed[$$1]++} \
	  END { \
	    for (file in all) { \
	      share = 100 * noticed[file] / all[file]; low = low || share < least; \
	      printf "%5.1f%%  %4d of %4d  %s\n", share, noticed[file], all[file], file; \
	      sum += all[file]; sum_noticed += noticed[file] \
	    } \
	    printf "%5.1f%%  %4d of %4d  all; each must reach %d%%\n", \
	      100 * sum_noticed / sum, sum_noticed, sum, least; \
	    exit low \
	  }'

audit: $(READY) ## look for known weaknesses in the pinned packages (asks the package index)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt pip-audit
	@$(PYTHON) -m pip_audit -r constraints.txt --no-deps --disable-pip --strict --progress-spinner off

bench: $(READY) ## measure speed of data and networks, and what networks learn, against other tools
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[bench]'
	@$(PYTHON) -m benchmarks.input
	@$(PYTHON) -m benchmarks.models
	@$(PYTHON) -m benchmarks.regions
	@$(PYTHON) -m benchmarks.learning

docs: $(READY) ## build the documentation as a site; a broken link fails
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@$(PYTHON) -m sphinx --fail-on-warning --keep-going -q -b html docs build/docs
	@echo "open build/docs/index.html"

ci: ## run everything that continuous integration runs
	@.ci/run

clean: ## remove caches; outputs and .venv stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis mutants build *.egg-info
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	@rm -f $(READY)

# The checks say what is missing and how to install it; the other packages come from the index.
$(READY): pyproject.toml constraints.txt
	@if [[ ! -x $(PYTHON) ]]; then \
	  python=; \
	  for name in $(PYTHONS); do \
	    if "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	        2>/dev/null; then python=$$name; break; fi; \
	  done; \
	  if [[ -z $$python ]]; then \
	    echo "missing: Python 3.11 to 3.14 (here: $$(python3 --version 2>/dev/null || echo none))"; \
	    echo "  Debian, Ubuntu: sudo apt-get install python3 python3-venv"; \
	    echo "  Fedora: sudo dnf install python3    macOS: brew install python@3.12"; \
	    exit 1; \
	  fi >&2; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "missing: the venv module of $$python"; \
	    echo "  Debian, Ubuntu: sudo apt-get install $$python-venv"; \
	    exit 1; \
	  fi >&2; \
	  free=$$(df -Pk . | awk 'NR == 2 {print int($$4 / 1048576)}'); \
	  if (( free < $(FREE_GB) )); then \
	    echo "missing: disk space in $(CURDIR): $$free GB free, the packages need $(FREE_GB)" >&2; \
	    exit 1; \
	  fi; \
	  echo "making $(VENV) with $$("$$python" --version)"; \
	  rm -rf $(VENV); \
	  "$$python" -m venv $(VENV); \
	fi
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip
	@echo "installing the pinned packages of constraints.txt into $(VENV)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,flow,sheets]'
	@touch $@
