# Three commands matter: `make book`, `make check` and `make test`. They need make and a Python
# from 3.11 to 3.13; PYTHON=/path/to/python names yours.
SHELL := /bin/bash
PY := .venv/bin/python
# The same quiet, comparable TensorFlow wherever notebooks are executed or checked.
export TF_CPP_MIN_LOG_LEVEL := 3
export TF_ENABLE_ONEDNN_OPTS := 0
export PYTHONUTF8 := 1
export PYTHON
MAKEFLAGS += -j2 # `make test` builds the book while it lints

PAGES := _config.yml _toc.yml $(wildcard book/*.md book/live/* book/assets/* book/_static/* book/_templates/* chapters/*.ipynb \
         results/*.json scripts/*.py segcore/*.py segcore/*/*.py segcore/display/*.js segcore/display/*.css segcore/weights/*)
# PYTHON names another version than that of .venv: make it anew.
OTHER := $(if $(PYTHON),$(shell scripts/make_venv.sh --fits || echo other))
WORKERS := -n logical --maxprocesses 4
LOCK := uv pip compile --quiet --all-extras --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
LOWEST := _build/lowest

.PHONY: help book serve check test chapters lint bench lock lowest clean other
.DEFAULT_GOAL := help

help: ## what each command does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | \
	  awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

book: .venv/.installed _build/html/.built ## build the book (makes .venv the first time)
	@echo "The book is in _build/html/index.html: open that file, or run 'make serve'."

serve: book ## show the book on http://127.0.0.1:8000
	@$(PY) scripts/serve.py

check: lint ## the quick answer, in under two minutes: lint, types, fast units
	@$(PY) -m pytest -q $(WORKERS) -m "not slow and not book and not browser" tests

test: lint book ## everything: lint, units, book, browser, notebooks; coverage of segcore
	@export CHROMIUM; CHROMIUM=$$($(PY) scripts/find_chromium.py --fetch) && \
	COVERAGE_CORE=$$($(PY) -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")') \
	$(PY) -m pytest -q $(WORKERS) --cov --cov-report term tests

chapters: .venv/.installed ## execute the chapters that changed (FORCE=1: all of them)
	@$(PY) scripts/chapters.py $(if $(FORCE),--force)

lint: .venv/.installed ## ruff, mypy, notebooks equal to their sources, spelling
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) scripts/chapters.py --check
	@$(PY) -m codespell_lib && echo "Spelling: nothing found."

bench: .venv/.installed ## run the benchmarks; they write results/*.json
	@unset TF_ENABLE_ONEDNN_OPTS; \
	for f in benchmarks/*.py; do echo "== $$f"; $(PY) $$f || exit 1; done

lock: .venv/.installed ## remake requirements.lock.txt (UPGRADE=1: with the newest versions)
	@$(PY) -m $(LOCK) --universal --python-version 3.11 --no-header $(if $(UPGRADE),--upgrade) \
	  --output-file requirements.lock.txt

lowest: .venv/.installed ## the fast units on the oldest versions that pyproject.toml allows
	@rm -rf $(LOWEST) && $(PY) -m venv $(LOWEST)
	@$(PY) -m $(LOCK) --resolution lowest-direct --output-file $(LOWEST)/requirements.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -r $(LOWEST)/requirements.txt
	@PYTHONPATH=$(CURDIR) $(LOWEST)/bin/python -m pytest -q -W default $(WORKERS) \
	  -m "not slow and not book and not browser" tests

clean: ## remove the built book and caches (.venv stays)
	rm -rf _build dist build .coverage .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/.installed: requirements.lock.txt pyproject.toml $(OTHER)
	@scripts/make_venv.sh

_build/html/.built: .venv/.installed $(PAGES)
	@$(PY) scripts/build_book.py
