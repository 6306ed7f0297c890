# make demo    trains, promotes and serves a model on generated customers, and asks it for a prediction
# make test    runs every test
# Both install what they need first: one virtual environment for each image role, and one for the command line.

PYTHON ?= python3.11
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := .venv/bin
ROLES := data-processing model-training model-serving monitoring
COMPILE := $(UV) pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate --quiet $(UPGRADE)

.PHONY: demo install test bench-batch bench-serving bench-simulation lint format lock check-locks clean

demo: install
	$(BIN)/churn demo

install: .venv/.installed $(ROLES:%=.venvs/%/.installed)

test: install
	$(BIN)/pytest --cov --cov-report=term

# Batches side by side: the booster's own limit, ours, and pandas with scikit-learn; some minutes.
# `make bench-batch BENCH=--quick` scores 200,000 rows instead of a million.
bench-batch: install
	$(BIN)/python -m tests.benchmarks.batch $(BENCH)

# Serving side by side with its peers, about 15 minutes; it needs wrk and h2load: apt install wrk nghttp2-client
# `make bench-serving BENCH="--quick --out serving.json"` takes 4. Without MLServer, its rows are left out.
bench-serving: install
	-$(MAKE) --no-print-directory .venvs/mlserver/.installed
	$(BIN)/python -m tests.benchmarks.serving $(BENCH)

# Ten simulated years of each scenario, some hours; what is done is not done again: interrupt it, and go on later.
# `make bench-simulation BENCH="--scenario quiet --seeds 3"` is shorter, BENCH=--table prints what is done.
bench-simulation: install
	$(BIN)/python -m tests.benchmarks.simulation $(BENCH)

.venvs/mlserver/.installed: tests/benchmarks/serving/mlserver.lock | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venvs/mlserver
	$(UV) pip sync --quiet --require-hashes --python .venvs/mlserver/bin/python $<
	@touch $@

lint: install check-locks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Locks: exact versions and hashes, one for each role and one for the command line and development.
# `make lock UPGRADE=--upgrade` takes the newest versions that fit.
# The roles take the command line's versions, so that a step and a test see the same libraries; monitoring, held to NumPy 1, cannot.
lock: $(UV)
	$(COMPILE) --extra dev -o local/requirements.lock
	for role in data-processing model-training model-serving; do \
	  $(COMPILE) --extra $$role -c local/requirements.lock -o docker/$$role/requirements.lock || exit 1; done
	$(COMPILE) --extra monitoring -o docker/monitoring/requirements.lock

check-locks: .venv/.installed
	$(BIN)/python -m local.locks

.venv/.installed: local/requirements.lock pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python local/requirements.lock
	$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	@touch $@

.venvs/%/.installed: docker/%/requirements.lock | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venvs/$*
	$(UV) pip sync --quiet --require-hashes --python .venvs/$*/bin/python $<
	@touch $@

.uv/bin/uv: local/bootstrap.lock
	$(PYTHON) -m venv --clear .uv
	.uv/bin/pip install --quiet --require-hashes -r $<

clean:
	rm -rf .venv .venvs .uv .mypy_cache .pytest_cache .ruff_cache
