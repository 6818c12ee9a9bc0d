# The menu. Every target works alone, as the first command in a new clone.
.DEFAULT_GOAL := help
.PHONY: help demo serve test check bench bench-prediction format requirements clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
DEMO := .altaviz/demo
WEEK_AGO = $$($(BIN)/python -c "import datetime as d; print((d.datetime.now(d.UTC) - d.timedelta(days=7)).strftime('%Y-%m-%dT%H:00:00Z'))")

help:
	@echo "make demo     a week of ten compressors, from gateways to the API on http://127.0.0.1:7071"
	@echo "make serve    the API alone"
	@echo "make test     every test"
	@echo "make check    formatting, lint, types, import contracts"
	@echo "make bench    measure, beside DuckDB doing the same work"
	@echo "make bench-prediction    learn from simulated fleets, and measure early warning (ten minutes)"

# Ready: the virtual environment holds exactly what requirements-dev.txt says, and Delta's jars.
.venv/ready: requirements-dev.txt etl_job/jars.py
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info[:2] != (3, 11) and 'error: Altaviz needs Python 3.11; install it, or name it: make PYTHON=/path/to/python3.11')"
	@$(PYTHON) -m etl_job.java
	@echo "setting up .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@awk '/^uv==/ {on = 1} on && /^[^ ]/ && !/^uv==/ {exit} on' requirements-dev.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.txt
	$(BIN)/python -m uv pip sync --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.txt
	@echo "fetching Delta's jars"
	@$(BIN)/python -m etl_job.jars > .venv/jars.log 2>&1 || { cat .venv/jars.log; exit 1; }
	@echo "archiving Java's classes, so that Spark starts in a third of the time"
	@rm -rf .venv/warm .venv/spark.jsa
	@$(BIN)/python -m simulator --out .venv/warm/landing --days 1 --compressors 2 > .venv/warm.log
	@ALTAVIZ_DATABASE_DIR=.venv/warm/postgresql ETL_FILES_PER_BATCH=2 ETL_JAVA_OPTIONS=-XX:ArchiveClassesAtExit=.venv/spark.jsa \
		$(BIN)/python -m etl_job --landing .venv/warm/landing --lake .venv/warm/lake >> .venv/warm.log 2>&1 || test $$? = 3 || { cat .venv/warm.log; exit 1; }
	@rm -rf .venv/warm
	@touch $@

demo: .venv/ready
	@$(BIN)/python -m etl_job.java
	@test -e $(DEMO)/landing/simulation.json || $(BIN)/python -m simulator --out $(DEMO)/landing --start $(WEEK_AGO)
	@$(BIN)/python -m etl_job --landing $(DEMO)/landing --lake $(DEMO)/lake
	@exec $(BIN)/python -m functions --demo

serve: .venv/ready
	@exec $(BIN)/python -m functions

test: .venv/ready
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup

check: .venv/ready
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m ruff check
	$(BIN)/python -m pyright
	$(BIN)/lint-imports

format: .venv/ready
	$(BIN)/python -m ruff format
	$(BIN)/python -m ruff check --fix

bench: .venv/ready
	$(BIN)/python -m benchmarks.simulator
	$(BIN)/python -m benchmarks.etl
	$(BIN)/python -m benchmarks.etl_large
	$(BIN)/python -m benchmarks.alarms
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.noisy_neighbour
	$(BIN)/python -m benchmarks.workflows
	$(BIN)/python -m benchmarks.webhooks
	SCHEMATHESIS_EXAMPLES=200 $(BIN)/python -m pytest tests/functions/test_schemathesis.py
	$(BIN)/python -m benchmarks.api
	INTERLEAVINGS=63 $(BIN)/python -m pytest tests/etl_job/test_interleavings.py
	KILLED_AT=all $(BIN)/python -m pytest tests/etl_job/test_crashes.py

# Public data sets, in DATA, are measured where they are there. With WRITE=--write the models and the model card are kept.
DATA ?= ../shared/data
bench-prediction: .venv/ready
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.prediction --data $(DATA) $(WRITE)

COMPILE = $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make requirements"
requirements: .venv/ready
	$(COMPILE) --group functions --output-file requirements.txt
	$(COMPILE) --group etl --output-file etl_job/requirements.txt
	$(COMPILE) --group dev --output-file requirements-dev.txt

clean:
	rm -rf .venv .altaviz
