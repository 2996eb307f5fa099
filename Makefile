# Two commands: `make forecast` and `make test`. Both set up their own .venv on first use.
PYTHON ?= python3
BIN := .venv/bin
# `make test EXTRAS=test,cluster,s3,browser` also looks at the tracking page in a browser, if chromium is installed.
EXTRAS ?= test,cluster,s3

.PHONY: forecast test audit clean

forecast: .venv/.ready
	@$(BIN)/tradecast forecast

test: .venv/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -n auto -rs

# Needs the network, so it is no part of `make test`; says so and stays green where no advisory can be had.
audit: .venv/.ready-audit
	@$(BIN)/python .ci/audit.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "tradecast needs Python 3.11 to 3.13; this is " + sys.version.split()[0] + ". Name another: make forecast PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

.venv/.ready: .venv/bin/python pyproject.toml constraints.txt
	@echo "Setting up .venv (once, about a minute) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@$(BIN)/python -c 'from forecasting.models import breaks, likelihood, smoothing; likelihood.compile_all(); breaks.compile_all(); smoothing.compile_all()'
	@touch $@

.venv/.ready-test: .venv/.ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

.venv/.ready-audit: .venv/.ready
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[audit]'
	@touch $@

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
