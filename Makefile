# Two commands matter: `make book` and `make test`. They need make and Python 3.11 or 3.12.
SHELL := /bin/bash
PY := .venv/bin/python
# The same quiet, comparable TensorFlow wherever notebooks are executed or checked.
export TF_CPP_MIN_LOG_LEVEL := 3
export TF_ENABLE_ONEDNN_OPTS := 0
export PYTHONUTF8 := 1

PAGES := _config.yml _toc.yml $(wildcard book/*.md book/live/* book/assets/* book/_static/* book/_templates/* chapters/*.ipynb \
         results/*.json scripts/*.py segcore/*.py segcore/*/*.py segcore/display/*.js segcore/display/*.css segcore/weights/*)

.PHONY: help book serve test chapters lint bench clean
.DEFAULT_GOAL := help

help: ## what each command does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | \
	  awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

book: .venv/.installed _build/html/.built ## build the book (makes .venv the first time)
	@echo "The book is in _build/html/index.html: open that file, or run 'make serve'."

serve: book ## show the book on http://127.0.0.1:8000
	@$(PY) scripts/serve.py

test: book ## every test: unit, book, browser, notebooks
	@scripts/run_tests.sh

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

clean: ## remove the built book and caches (.venv stays)
	rm -rf _build dist build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.venv/.installed: requirements.lock.txt pyproject.toml
	@scripts/make_venv.sh

_build/html/.built: .venv/.installed $(PAGES)
	@$(PY) scripts/build_book.py
