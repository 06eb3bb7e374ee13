# CI runs these targets unchanged. Everything is installed into .venv; nothing outside this folder is touched.

BIN := .venv/bin
WORKERS ?= 1
ROUNDS ?= 5
SEED ?= 1
MINUTES ?= 60
SESSIONS ?= 2000
MUTANTS ?= 2000
COVERING = tests/unit/frontend tests/unit/shared/bus tests/unit/worker/test_*.py \
	tests/integration/test_bus.py tests/integration/test_uplink.py tests/integration/test_ownership.py \
	tests/integration/test_session_states.py tests/integration/test_redis_connection.py \
	tests/integration/test_erasure.py tests/integration/test_history.py tests/integration/test_damaged_store.py
COMPILE = uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 \
	--no-annotate --no-emit-index-url --custom-compile-command "make lock"
LOCK = echo "setuptools>=77" | $(COMPILE) pyproject.toml -
WITHOUT_TORCH = awk '/^[a-z]/ { kept = /^nvidia-ml-py==/ || !/^((cuda|nvidia)-|torch==)/ } /^\#/ || kept'
PYTORCH_CPU = https://download.pytorch.org/whl/cpu
PYTORCH_CU126 = https://download.pytorch.org/whl/cu126
# Compiling everything takes longer than the tests, which import little of it.
PLUGINS_PIP = $(BIN)/python -m pip --python .venv-plugins/bin/python --disable-pip-version-check install --quiet --no-compile
PROSE = frontend worker shared compose docs README.md CONTRIBUTING.md SECURITY.md config.yaml
export PYTHON TORCH

.DEFAULT_GOAL := help
.PHONY: help run install check style types imports unit coverage test bench bench-voxtral chaos soak fuzz plugins image-check systemd-check lock sbom

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST)

run: .venv/installed-base ## Start the service and print its URLs; WORKERS=2 starts two workers, CUDA_VISIBLE_DEVICES= declines the GPU
	@exec $(BIN)/python -m compose.launch --workers $(WORKERS) --parent $$PPID

install: .venv/installed-dev ## Install the dependencies for running and testing

check: style types imports test ## Everything that must pass before a commit

style: .venv/installed-dev ## Lint, check the format, and reject phrases that are not plain English
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@.ci/phrases $(PROSE)

types: .venv/installed-dev tests/page/node_modules/.package-lock.json ## Check the types
	@$(BIN)/mypy
	@tests/page/node_modules/.bin/tsc --project tests/page

imports: .venv/installed-dev ## Check the import rules
	@$(BIN)/lint-imports

unit: .venv/installed-dev ## Run the tests that start no process
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/unit

coverage: .venv/installed-dev ## Show which branches of protocols, bus and access are tested; fails below 95 %
	@$(BIN)/python -m coverage run -m pytest -q $(COVERING)
	@$(BIN)/python -m coverage report

test: .venv/installed-dev ## Run all tests
	@$(BIN)/python -m pytest -n 4 --dist loadfile --durations=10

bench: .venv/installed-dev ## Run the benchmarks; SPEECH=folder adds recorded speech, OFFSETS="0 80"
	@$(BIN)/python -m tests.bench

bench-voxtral: .venv/installed-dev ## Measure Voxtral Realtime at full size on this machine's GPU
	@$(BIN)/python -m tests.bench.voxtral

chaos: .venv/installed-dev ## Kill, hang and disconnect processes of a running service; ROUNDS=20 SEED=7
	@$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED)

soak: .venv/installed-dev ## Mixed clients at the slot limit, then resumed sessions; MINUTES=60 SESSIONS=2000
	@$(BIN)/python -m tests.chaos.soak --minutes $(MINUTES)
	@$(BIN)/python -m tests.chaos.resumption --sessions $(SESSIONS)

fuzz: .venv/installed-dev ## Decode damaged recordings; SEED=7 MUTANTS=20000
	@$(BIN)/python -m tests.fuzz --seed $(SEED) --mutants $(MUTANTS)

plugins: .venv/installed-dev .venv-plugins/installed ## Transcribe phrases through the plug-ins of LiveKit Agents and Pipecat, and WhisperLive's client
	@$(BIN)/python -m tests.plugins

image-check: .venv/installed-dev ## Build the image's CPU target without Docker and transcribe in it (needs root, bubblewrap, mmdebstrap)
	@$(BIN)/python -m tests.image

systemd-check: .venv/installed-dev ## Run the units for systemd by systemd itself and transcribe with them (needs root)
	@$(BIN)/python -m tests.systemd

lock: ## Resolve the dependencies again (needs uv)
	$(LOCK) --extra voxtral --output-file requirements/voxtral.txt
	$(LOCK) --output-file requirements/base.txt --constraint requirements/voxtral.txt
	$(LOCK) --extra dev --extra otel --extra sherpa --extra voxtral --constraint requirements/voxtral.txt | $(WITHOUT_TORCH) >requirements/dev.txt
	sed -n 's/^\(torch==[0-9.]*\).*/\1+cpu/p' requirements/voxtral.txt | $(COMPILE) - --no-deps --index-url $(PYTORCH_CPU) --output-file requirements/torch-cpu.txt
	sed -n 's/^\(torch==[0-9.]*\).*/\1+cu126/p' requirements/voxtral.txt | $(COMPILE) - --constraint requirements/dev.txt --index-url $(PYTORCH_CU126) --output-file requirements/torch-cu126.txt
	echo "cyclonedx-bom" | $(COMPILE) - --output-file requirements/sbom.txt

sbom: .venv/installed-base ## List the locked dependencies as CycloneDX, in build/
	@rm -rf build/sbom && $(BIN)/python -m venv build/sbom
	@build/sbom/bin/python -m pip install --quiet --only-binary :all: --require-hashes --requirement requirements/sbom.txt
	@for set in base voxtral; do \
		PYTHONWARNINGS=ignore build/sbom/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
			--output-file build/sbom-$$set.cdx.json requirements/$$set.txt || exit; \
	done
	@rm -r build/sbom
	@ls build/sbom-*.cdx.json

.venv/installed-base: pyproject.toml requirements/base.txt requirements/voxtral.txt requirements/torch-cu126.txt compose/install.sh worker/model_files.py
	@compose/install.sh base

.venv/installed-dev: pyproject.toml requirements/dev.txt requirements/voxtral.txt requirements/torch-cpu.txt requirements/torch-cu126.txt compose/install.sh worker/model_files.py
	@compose/install.sh dev

tests/page/node_modules/.package-lock.json: tests/page/package-lock.json
	@command -v npm >/dev/null || { echo "npm is needed to check the types of the page (Debian and Ubuntu: apt install npm)." >&2; exit 1; }
	@npm ci --prefix tests/page --silent --no-fund --no-audit

.venv-plugins/installed: tests/plugins/requirements.txt tests/plugins/no_deps.txt | .venv/installed-dev
	@$(BIN)/python -m venv --clear --without-pip .venv-plugins
	@$(PLUGINS_PIP) --requirement tests/plugins/requirements.txt
	@$(PLUGINS_PIP) --no-deps --requirement tests/plugins/no_deps.txt
	@touch $@
