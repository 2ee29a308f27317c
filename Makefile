# Every target runs bootstrap.py, which makes .venv first where it is missing or stale. Pass more with ARGS=...
PYTHON3 ?= python3
COMMANDS := demo up test nightly bench lint types contracts definitions install lock

.PHONY: help check clean $(COMMANDS)

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 20

demo: ## set up, build the demo market, and leave the UIs running (ARGS=--no-servers: without them)
up: ## set up and start the Dagster UI, its daemon and the MLflow UI
test: ## set up and run all tests but the nightly ones
nightly: ## set up and run fault injection and property search at depth
bench: ## set up and run the benchmarks
lint: ## ruff: rules and format
types: ## pyright
contracts: ## import-linter: who may import whom
definitions: ## load the whole graph the way Dagster does
install: ## only set up
lock: ## resolve pyproject.toml anew into requirements.lock

$(COMMANDS):
	@command -v $(PYTHON3) >/dev/null || { echo "There is no $(PYTHON3) here. Install Python 3.11 or 3.12, or name one: make $@ PYTHON3=/path/to/python3" >&2; exit 1; }
	@$(PYTHON3) bootstrap.py $@ $(ARGS)

check: lint types contracts definitions test ## everything that CI runs

clean: ## remove .venv and caches; data under var/ stays
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist site *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
