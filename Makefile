# `make quickstart` shows what Provenv does; `make test` runs all tests. Both build the same profile.

CARGO ?= cargo
PROVENV := $(or $(CARGO_TARGET_DIR),target)/release/provenv
# The quickstart keeps its own workspace, so that it can be thrown away as a whole.
QUICKSTART := .cache/quickstart

# Debian packages that tests drive as real peers; nothing in Provenv itself needs them.
PEERS := curl skopeo umoci buildah podman runc containerd docker-registry git uidmap bubblewrap faketime python3 python3-venv strace postgresql chromium chromium-driver

.PHONY: help
help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

.PHONY: build
build: ## compile provenv
	$(CARGO) build --release --locked

.PHONY: quickstart
quickstart: build ## train a model in an environment made from packages, then once more from the cache
	@examples/quickstart.sh $(PROVENV) $(QUICKSTART)

.PHONY: test
test: test-tools ## all tests, with real peers
	$(CARGO) fmt --all --check
	$(CARGO) test --release --locked --workspace --doc
	PROVENV_TEST_PEERS=$${PROVENV_TEST_PEERS:-required} $(CARGO) test --release --locked --workspace --no-fail-fast --tests

# The Python that tests the SDK, and where it is installed for that.
PYTHON ?= python3
PYTHON_VENV := .cache/python
WHEELS := target/wheels

.PHONY: wheel
wheel: build ## the Python package, the command line included, into target/wheels
	@test -x $(PYTHON_VENV)/bin/maturin || { $(PYTHON) -m venv $(PYTHON_VENV) && $(PYTHON_VENV)/bin/pip install -q -r python/requirements-dev.txt; }
	mkdir -p python/provenv.data/scripts && cp $(PROVENV) python/provenv.data/scripts/provenv
	cd python && ../$(PYTHON_VENV)/bin/maturin build --release --locked --out ../$(WHEELS)

.PHONY: test-python
test-python: wheel ## the tests of the Python package, its wheel installed
	$(PYTHON_VENV)/bin/pip install -q --force-reinstall --no-deps $(WHEELS)/provenv-*.whl
	@# Not `python -m pytest`: that would import what lies in the folder, and not the wheel.
	$(PYTHON_VENV)/bin/pytest -c python/pyproject.toml python/tests

# How many random schedules, and the rounds of each; PROVENV_SCHEDULE_SEED begins with a certain one.
SCHEDULES ?= 10
ROUNDS ?= 30

.PHONY: test-schedules
test-schedules: ## random schedules on one store, with kill -9: SCHEDULES=10 of ROUNDS=30, some minutes each
	PROVENV_SCHEDULES=$(SCHEDULES) PROVENV_SCHEDULE_ROUNDS=$(ROUNDS) $(CARGO) test --release --locked --package provenv --test all schedules:: -- --nocapture

.PHONY: test-postgres
test-postgres: ## tests of the front door with their catalogues in PostgreSQL: CATALOGUE=postgres://USER@HOST/DATABASE
	PROVENV_TEST_CATALOGUE=$(CATALOGUE) $(CARGO) test --release --locked --package provenv --no-fail-fast \
		--test all -- front_door:: lifecycle:: builds:: collection:: locks:: proof:: registry:: server::

# How many requests Schemathesis makes up for each operation and role; SEED makes up others.
EXAMPLES ?= 100
SEED ?= 1

.PHONY: test-schemathesis
test-schemathesis: build ## made-up requests to a server, as nobody and with every role, on both databases: EXAMPLES=100 SEED=1
	DATABASE=sqlite tests/schemathesis/run.sh $(PROVENV) target/schemathesis $(EXAMPLES) $(SEED)
	DATABASE=postgresql tests/schemathesis/run.sh $(PROVENV) target/schemathesis $(EXAMPLES) $(SEED)

# How many registrations, of how many definitions, and how often something is killed; PROVENV_CHAOS_SEED says what.
REGISTRATIONS ?= 500
DEFINITIONS ?= 50
KILLS ?= 100

.PHONY: chaos
chaos: ## kill servers, workers and the database while 500 register and build, some minutes
	PROVENV_CHAOS_SEED=$${PROVENV_CHAOS_SEED:-$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')} PROVENV_CHAOS_REGISTRATIONS=$(REGISTRATIONS) \
		PROVENV_CHAOS_DEFINITIONS=$(DEFINITIONS) PROVENV_CHAOS_KILLS=$(KILLS) \
		$(CARGO) test --release --locked --package provenv --test all chaos:: -- --nocapture

.PHONY: test-tools
test-tools: ## install what tests drive (Debian, as root)
	@tests/install-peers.sh $(PEERS)

# Seconds for each fuzz target; FUZZ_TARGETS chooses some of them.
SECONDS ?= 600
CARGO_FUZZ := 0.13.2
FUZZ_TARGETS ?= $(patsubst fuzz/fuzz_targets/%.rs,%,$(wildcard fuzz/fuzz_targets/*.rs))

.PHONY: fuzz
fuzz: ## every parser under random input, SECONDS=600 each
	$(CARGO) fuzz --version 2>/dev/null | grep -q . || $(CARGO) install --locked cargo-fuzz --version $(CARGO_FUZZ)
	fuzz/run.sh $(SECONDS) $(FUZZ_TARGETS)

.PHONY: lint
lint: ## clippy, every target
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

.PHONY: curated-check
curated-check: build ## lock every curated environment anew; CURATED="--write" ships the locks
	crates/workspace/curated/check.sh $(CURATED) $(PROVENV)

.PHONY: bench
bench: build ## time Provenv beside buildah, podman and docker; results in bench/runs/
	$(CARGO) build --release --locked --package provenv-image --example limit
	bench/run.sh $(PROVENV)

.PHONY: bench-conda
bench-conda: ## time conda environments beside py-rattler, and buildah with pip
	$(CARGO) build --release --locked --package provenv --package provenv-image --package provenv-channel --bins --example limit --example real_channel
	bench/conda.sh $(PROVENV)

.PHONY: bench-registry
bench-registry: build ## time pushes, pulls and `registry serve` beside skopeo, buildah, podman and docker-registry
	bench/registry.sh $(PROVENV)
	bench/serve.sh $(PROVENV)

.PHONY: bench-catalogue
bench-catalogue: build ## load catalogues of 1,000 and 1,000,000 versions beside MLflow's model registry
	$(CARGO) build --release --locked --package provenv-workspace --example versions
	bench/catalogue.sh $(PROVENV)

.PHONY: manual
manual: build ## manual pages and completions into target/manual
	$(PROVENV) man target/manual
	for shell in bash zsh fish; do $(PROVENV) completions $$shell > target/manual/provenv.$$shell; done

.PHONY: clean
clean: ## remove what was built and the quickstart's workspace
	$(CARGO) clean
	chmod -R u+w .cache 2>/dev/null; rm -rf .cache
