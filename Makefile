# Each target makes its own .venv; nothing is needed but Python 3.11 or later, make and PyPI.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
JOBS ?= 2
EXAMPLES ?= 5000
SECONDS ?= 60
POINTS ?= 1000
DATABASE ?= both
SOURCES := postroom tests bench
unexport PYTHONDONTWRITEBYTECODE  # without compiled files each of the many processes that the tests start compiles it all anew

BENCHMARKS := bench/end_to_end.py bench/cost_per_message.py bench/parse.py bench/archive.py bench/grow.py bench/courier.py bench/scale_out.py \
	bench/smtp_accept.py bench/smtp_busy.py bench/objects.py bench/imap_drain.py bench/memory.py

.PHONY: help demo run test check format bench fuzz chaos screenshots deb deb-test clean

help:  ## what there is to make (this list)
	@sed -n 's/^\([a-z-]*\):.*## /\1 \t/p' $(MAKEFILE_LIST)

demo: $(RUN_READY)  ## the main job on built-in mail, narrated; exits by itself
	@$(BIN)/postroom demo

run: $(RUN_READY)  ## the daemon, on ./postroom.toml or the embedded defaults
	@$(BIN)/postroom run

test: $(DEV_READY)  ## every test; ARGS="-k courier" passes arguments to pytest
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

check: $(DEV_READY)  ## format, lint, types, and the tests of layout and documentation
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	MYPYPATH=tests:bench $(BIN)/mypy --explicit-package-bases tests/peers/*.py tests/chaos/[!t]*.py bench/*.py
	$(BIN)/python -m pytest -q tests/test_layout.py tests/test_docs.py tests/test_config.py

format: $(DEV_READY)  ## put the code into its format
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: $(DEV_READY)  ## how fast: each script of bench/ prints a table and a JSON line
	@for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

fuzz: $(DEV_READY)  ## the property tests, EXAMPLES=5000 each, then mutated mail for SECONDS=60 (EXAMPLES=0: only that)
ifneq ($(EXAMPLES),0)
	POSTROOM_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(JOBS) -m hypothesis --hypothesis-profile=fuzz $(ARGS)
endif
	$(BIN)/python tests/parsers/fuzz_parse.py --seconds $(SECONDS)

chaos: $(DEV_READY)  ## kill the daemon at POINTS=1000 system calls, on DATABASE=both, and compare all ledgers
	$(BIN)/python tests/chaos/sweep.py --points $(POINTS) --database $(DATABASE) --lanes $(JOBS) --ledger build/chaos.jsonl

screenshots: $(DEV_READY)  ## every mail as Chromium shows it, light and dark, wide and on a phone, into build/screenshots
	POSTROOM_SCREENSHOTS=build/screenshots $(BIN)/python -m pytest -q tests/outbound/test_screenshots.py

deb:  ## a Debian package with its own libraries, into dist/; needs Debian's python3-venv, and PyPI
	contrib/debian/build dist

deb-test: $(DEV_READY)  ## build it, and install it and a virtual environment in a bare Debian as docs/ says; as root, minutes
	POSTROOM_DEB_TEST=1 $(BIN)/python -m pytest tests/installing $(ARGS)

clean:  ## remove what these targets made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find postroom tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Postroom needs Python 3.11 or later; name one: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

$(RUN_READY): pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[postgresql]'
	@touch $@

$(DEV_READY): pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[dev]'
	@touch $@ $(RUN_READY)
