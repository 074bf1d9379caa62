# Lockring's commands. `make run` and `make test` need nothing done before them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
SEEDS ?= 1000
FIRST ?= 0
JOBS ?= 1

.PHONY: help install run test sim chaos compare kernel bench check format lock messages proto browser clean

NODES ?= 3
PORT ?= 8000
DATA ?= .lockring

# The first of these that is new enough builds the virtual environment.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# Without a recent node of the system, npm comes from PyPI with what tests need.
NODE := $(shell node -p 'Number(process.versions.node.split(".")[0]) >= 20' 2>/dev/null)

help:  ## Show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: .venv/.installed node_modules/.installed  ## Make .venv and node_modules from the lock files

# What running needs; the rest only serves tests and checks, and takes three times as long.
.venv/.runtime: requirements.txt
	@[ -n "$(PYTHON)" ] || { echo "Lockring needs Python 3.11 or newer: install it, or say PYTHON=/path/to/python3 after make." >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	@touch $@

.venv/.installed: requirements-dev.txt .venv/.runtime
	$(PIP) -r requirements-dev.txt
	@touch $@

node_modules/.installed: package-lock.json package.json .npmrc $(if $(filter true,$(NODE)),,.venv/.installed)
	tools/js npm ci --no-audit --no-fund
	@touch $@

run: .venv/.runtime node_modules/.installed  ## Start a cluster and its page: NODES=3 PORT=8000 DATA=.lockring
	exec $(BIN)/python manage.py up --nodes $(NODES) --port $(PORT) --data $(DATA)

# Side by side, for most tests wait for processes that they have started; one file after another, for a file may share
# a cluster. What fails here is tried alone by `.venv/bin/pytest` with the name that is printed.
WORKERS ?= 3
SIM_SECONDS ?= 60

test: install browser  ## Run every test, and simulate for SIM_SECONDS=60, WORKERS=3 side by side
	@if files=$$(compgen -G 'tests/js/*.test.*js'); then tools/js node --test --test-reporter=dot $$files; fi
	LOCKRING_SIM_SECONDS=$(SIM_SECONDS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

sim: install  ## Simulate clusters under random faults: SEEDS=1000 FIRST=0 JOBS=1, or one of them: SEED=17
	$(BIN)/python -m lockcore.testing.campaign --jobs $(JOBS) $(if $(SEED),--seeds 1 --first $(SEED),--seeds $(SEEDS) --first $(FIRST))
	$(BIN)/python -m lockcore.testing.campaign --jobs $(JOBS) --single $(if $(SEED),--seeds 1 --first $(SEED),--seeds $$(( $(SEEDS) / 4 )) --first $(FIRST))
	$(BIN)/python -m lockcore.testing.campaign --jobs $(JOBS) --sessions $(if $(SEED),--seeds 1 --first $(SEED),--seeds $(SEEDS) --first $(FIRST))
	$(if $(SEED),,$(BIN)/python -m lockcore.testing.exhaust --states $$(( $(SEEDS) * 2 )))
	$(if $(SEED),,$(BIN)/python -m lockcore.testing.exhaust --postponed 0)

SECONDS ?= 60
chaos: install  ## Break a real cluster and judge it: SECONDS=60 or TRIALS=20 of each kind, SEED=1 NODES=3, OUT=an empty folder
	$(BIN)/python -m lockcore.testing.chaos $(if $(TRIALS),--trials $(TRIALS),--seconds $(SECONDS)) --seed $(if $(SEED),$(SEED),1) --nodes $(NODES) $(if $(OUT),--out $(OUT))

compare: install  ## Harm a real SeaweedFS and Lockring alike, and print what it cost each: TRIALS=1 LOCKS=20 SECONDS=3600 ONLY=restart,cycles
	$(BIN)/python -m tests.compare $(if $(TRIALS),--trials $(TRIALS)) $(if $(LOCKS),--locks $(LOCKS)) $(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS)) --only "$(ONLY)"

kernel: install  ## Compare byte ranges with Linux's own: OPERATIONS=100000 SEED=1
	$(BIN)/python -m tests.kernel --operations $(if $(OPERATIONS),$(OPERATIONS),100000) --seed $(if $(SEED),$(SEED),1)

sim-mutants: install  ## Take rules out of the core, and count the seeds until the simulator says so: ONLY=grace JOBS=1 SECONDS=600
	$(BIN)/python -m tests.simulation.mutants --only "$(ONLY)" --jobs $(JOBS) $(if $(filter command,$(origin SECONDS)),--seconds $(SECONDS))

bench: install browser  ## Measure Lockring's figures, some 8 minutes: ONLY=failover,join for some of them
	$(BIN)/python -m tests.bench "$(ONLY)"

browser:
	@tools/browser.sh

check: install  ## Lint, types, style, and that generated code is up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	tools/js node node_modules/typescript/bin/tsc --project tsconfig.json
	$(BIN)/python -m pytest -q tests/style
	tools/protoc.sh --check

format: install  ## Let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

UPGRADE ?= --upgrade
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m piptools compile --quiet $(UPGRADE) --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock: .venv/.installed  ## Write the lock files anew from pyproject.toml and package.json (UPGRADE= keeps versions)
	$(COMPILE) --output-file=requirements.txt pyproject.toml
	$(COMPILE) --extra=dev --constraint=requirements.txt --output-file=requirements-dev.txt pyproject.toml
	tools/js npm install --package-lock-only

messages: install  ## Collect the words of the pages into locale/*.pot, to be translated
	$(BIN)/python -m tests.words

proto: install  ## Write lockcore/wire/gen/ anew from lockcore/wire/proto/
	tools/protoc.sh

clean:  ## Remove what make install made; the data folder stays
	rm -rf .venv node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis
