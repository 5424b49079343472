# The task list. The bare word lists what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
WORKERS ?= 6
STAMP  := $(VENV)/.installed
DURATION = $(if $(DURATIONS),--durations=$(DURATIONS) --durations-min=1)
# the tests of one kind; with RETRY=1 those that failed, and only those, once more when the machine is quiet
TESTS   = $(BIN)/python -m pytest -p no:randomly -q --dist worksteal --only $(1) -o cache_dir=.pytest_cache/$(1) tests
COMPILE = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links
RETRIED = $(if $(RETRY),|| { [ $$? = 1 ] && $(call TESTS,$(1)) -n 2 --last-failed --last-failed-no-failures none; })

.DEFAULT_GOAL := help
.PHONY: help demo deploy-demo test check lint types generated catalogue docs audit lock sbom bench soak cluster pythons plugins site clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml .ci/requirements.in .ci/requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; name one: make PYTHON=python3.12 …") if sys.version_info < (3, 11) else 0'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(CI),true)
	@.ci/install $(BIN)/python --require-hashes -r .ci/requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
else
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,kubernetes]' -r .ci/requirements.in
endif
	@touch $(STAMP)

demo: $(STAMP) ## run the smoke suite against the demo system, write the reports
	@mkdir -p reports
	@$(BIN)/python -m pytest -m smoke --env demo -p no:randomly -p no:cacheprovider \
		--prodcheck-report reports/smoke.txt --prodcheck-json reports/smoke.json \
		--junit-xml reports/smoke.xml --html reports/smoke.html --self-contained-html

deploy-demo: $(STAMP) ## deploy a canary that goes through and one that is rolled back, behind a real HAProxy
	@$(BIN)/python -m pytest_prodcheck demo --deploy

test: $(STAMP) ## run the tests
	@$(call TESTS,measuring) -n 3 $(DURATION) $(call RETRIED,measuring)
	@$(call TESTS,others) -n $(WORKERS) $(DURATION) $(call RETRIED,others)

check: lint types generated ## lint, types, generated files

lint: $(STAMP)
	@$(BIN)/ruff check .

types: $(STAMP)
	@$(BIN)/mypy

generated: $(STAMP)
	@$(BIN)/python -m pytest_prodcheck.catalogue --check
	@$(BIN)/python docs/generate.py --check

catalogue: $(STAMP) ## write the catalogue of bundled checks and the generated docs again
	@$(BIN)/python docs/generate.py --tables
	@$(BIN)/python -m pytest_prodcheck.catalogue
	@$(BIN)/python docs/generate.py

docs: catalogue

audit: $(STAMP) ## Bandit on the package, pip-audit on the lock
	@BIN=$(BIN) .ci/audit

lock: ## write the locks of what CI installs anew (needs uv)
	@$(COMPILE) pyproject.toml .ci/requirements.in --extra demo --extra kubernetes -o .ci/requirements.lock
	@echo uv | $(COMPILE) - -o .ci/uv.lock

sbom: $(STAMP) ## write sbom.json, what the lock installs (CycloneDX)
	@$(BIN)/python .ci/sbom > sbom.json

cluster: $(STAMP) ## build a Kubernetes control plane for the tests, once, into ~/.cache (needs Go)
	@$(BIN)/python -m tests.cluster.build

bench: $(STAMP) ## measure, side by side in one run, and print ratios
	@$(BIN)/python -m bench

soak: $(STAMP) ## the long tests: 1,000 silent runs, thousands of cases
	@$(BIN)/python -m pytest --soak -p no:randomly -q -n 2 --dist worksteal tests

pythons: ## the gate's tests and a run under Python 3.12 with pytest 8.3 and Python 3.13, where they are
	@.ci/pythons

plugins: ## other people's plugins beside prodcheck, in a virtual environment of their own (docs/plugins.md)
	@test -x .venv-plugins/bin/python || $(PYTHON) -m venv .venv-plugins
	@.venv-plugins/bin/python -m pip install --quiet --disable-pip-version-check -e . -r tests/plugins/requirements.txt
	@PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 PRODCHECK_PLUGINS=1 .venv-plugins/bin/python -m pytest -q \
		-p pytest_prodcheck.plugin -p xdist.plugin -p no:cacheprovider -n $(WORKERS) tests/plugins

site: $(STAMP) ## build the documentation site into site/, in a virtual environment of its own; a broken link fails
	@test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	@.ci/install .venv-docs/bin/python -r docs/site-requirements.txt
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean --quiet
	@$(BIN)/python -m pytest_prodcheck schema > site/prodcheck.schema.json

clean: ## remove what was built and installed here
	rm -rf $(VENV) .venv-plugins .venv-docs site .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find reports -mindepth 1 ! -name README.md -delete
