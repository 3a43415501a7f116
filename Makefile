# Every target makes the virtual environment in .venv first; the second time that is quick.

SHELL := bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHON ?= python3.13 python3.12 python3.11 python3 python
# In our own order, longest files first: xdist's would leave the notebooks to the end.
PYTEST_FLAGS ?= -n 2 --dist loadfile --no-loadscope-reorder
export TF_CPP_MIN_LOG_LEVEL ?= 2

# The first candidate on the PATH that runs (a version manager's shim may not) and is suitable.
SUITABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
find_python = $(firstword $(foreach candidate,$(shell type -aP $(PYTHON)),$(shell \
	$(candidate) -c '$(SUITABLE)' >/dev/null 2>&1 && echo $(candidate))))

# The stamp holds the path that was installed: a moved, half-made or broken environment does not
# count, and is made anew.
HEALTHY := $(shell { test "`cat $(STAMP)`" = "$(CURDIR)" && $(BIN)/python -c pass && echo yes; } 2>/dev/null)
ifneq ($(HEALTHY),yes)
.PHONY: $(STAMP)
endif

.PHONY: quickstart test test-slow test-long lint bench docs notebooks clean

quickstart: $(STAMP)
	@$(BIN)/tfbind quickstart

# In parts, each with processes of its own: what XLA has compiled stays in memory to their end.
test: lint
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/conformance
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) tests/layers tests/models
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) --ignore tests/conformance --ignore tests/layers \
		--ignore tests/models

test-slow: $(STAMP)
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "slow and not long"

test-long: $(STAMP)
	@$(BIN)/python -m pytest $(PYTEST_FLAGS) -m long

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf build/typed && mkdir -p build/typed/tfbind
	@ln -s "$(CURDIR)"/tfbind/* "$(CURDIR)/export" "$(CURDIR)/serving" build/typed/tfbind
	@$(BIN)/mypy build/typed/tfbind

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

# Warnings are errors. The start page is build/docs/site/index.html.
docs: $(STAMP)
	@$(BIN)/python -m sphinx -W --keep-going -q -d build/docs/doctrees docs build/docs/site
	@echo "Wrote build/docs/site/index.html"

notebooks: $(STAMP)
	@$(BIN)/python -m colab.run

clean:
	rm -rf $(VENV) build dist docs/made tfbind.egg-info .pytest_cache .ruff_cache .mypy_cache

# No build isolation: pip would fetch a setuptools that constraints.txt does not pin.
$(STAMP): setup.py constraints.txt
	@set -euo pipefail; \
	if [ "$(HEALTHY)" != yes ]; then \
	    python="$(find_python)"; \
	    if [ -z "$$python" ]; then \
	        echo "tfbind needs Python 3.11, 3.12 or 3.13 with its venv module: install one, or" \
	            "name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
	        exit 1; \
	    fi; \
	    rm -rf $(VENV); \
	    $$python -m venv $(VENV); \
	fi; \
	echo "Installing tfbind and its dependencies into $(VENV), once: a few minutes, 3 GB"; \
	pip="$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt"; \
	$$pip --quiet setuptools; \
	$$pip --no-build-isolation -e '.[dev]' | while read -r line; do case $$line in \
	    Collecting*) printf . ;; \
	    Installing*) printf '\nUnpacking ...' ;; \
	    Successfully\ installed*) echo " done" ;; \
	esac; done; \
	echo "$(CURDIR)" > $@
