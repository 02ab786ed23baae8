# `make demo` and `make test` set up what they need: a virtual environment in .venv, from requirements.txt.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/ready
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Processes that share the tests out; one module stays in one, for what its tests share.
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

.PHONY: demo test test-slow lint clean

demo: $(READY)
	rm -rf runs/demo
	$(BIN)/python experiments/ao2020.py --budget demo --only baseline_cnn --only resnet18_scratch --out runs/demo
	$(BIN)/mammo-tf report --runs runs/demo --out runs/demo
	$(BIN)/mammo-tf export runs/demo runs/demo/export --only resnet18_scratch --protocol honest

test: $(READY) lint
	$(PYTEST)

test-slow: $(READY)
	$(PYTEST) -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(READY): requirements.txt setup.cfg
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=..." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -r requirements.txt
	$(BIN)/python -m pip install -q --no-deps -e .
	touch $@

clean:
	rm -rf .venv runs build *.egg-info
