# `make run` shows what Sluicegate does; `make test` shows that it does it. Both prepare the checkout by themselves, in
# .venv and .tools, and both need nothing on the machine but Python 3.11, make, and either root or sudo.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:

PYTHON ?= python3
export PYTHON
BIN := .venv/bin

# Two files of tests at a time, each from top to bottom in one process: what a file's tests share is started once, and
# their order is always the same.
TEST_JOBS ?= 2

.PHONY: help
help: ## say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## start the demo: a gateway in front of a small upstream, and the commands to try
	@tools/setup run
	@exec $(BIN)/sluicegate demo $(ARGS)

.PHONY: test
test: lint types contracts ## run every check and every test, with coverage
	@rm -f .coverage .coverage.*
	$(BIN)/pytest --cov --cov-report=term --numprocesses=$(TEST_JOBS) --dist=loadfile $(ARGS)

.PHONY: lint
lint: setup ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python tools/docs --check

.PHONY: types
types: setup ## mypy, strict
	$(BIN)/mypy

.PHONY: contracts
contracts: setup ## who may import whom
	$(BIN)/lint-imports --no-logo

.PHONY: bench
bench: ## measure, beside the peers
	@tools/setup bench
	$(BIN)/python -m bench $(ARGS)

.PHONY: soak
soak: ## what must hold for long, half an hour each: nothing grows, no event is lost; ARGS="relay --minutes 10"
	@tools/setup bench
	$(BIN)/python -m tests.soak $(ARGS)

.PHONY: fuzz
fuzz: ## look for bytes that break a promise; ARGS="60 head token" says how many seconds, and what
	@tools/setup fuzz
	$(BIN)/python -m tests.fuzz $(ARGS)

.PHONY: docs
docs: setup ## write the pages that are drawn from the code
	$(BIN)/python tools/docs

.PHONY: lock
lock: ## write requirements/ anew from pyproject.toml; ARGS=--upgrade takes the newest versions
	tools/lock $(ARGS)

.PHONY: clean
clean: ## remove everything that was made here
	rm -rf .venv .tools .fuzz .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov build dist
	rm -rf tests/interop/node/node_modules .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: setup
setup: ## install what the tests need, where it is missing
	@tools/setup test
