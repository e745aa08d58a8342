# The words of this project. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
BIN := .venv/bin
TEST_JOBS ?= 2
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: setup demo evidence test check bench docs clean

setup: .venv/ready
	@command -v bwrap >/dev/null || echo "note: bubblewrap is not installed; model-written code is kept in less well without it. type: apt-get install bubblewrap libseccomp2" >&2

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'rlvr needs Python 3.11 or newer, found ' + sys.version.split()[0] + '; type: make setup PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[train,hub,dev]"
	touch .venv/ready

demo: setup
	$(BIN)/rlvr train recipes/laptop.toml name=demo replace=true

evidence: setup
	$(BIN)/python benchmarks/evidence.py

test: setup
	$(BIN)/python -m pytest -q -n $(TEST_JOBS) --dist loadfile

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python benchmarks/bench_engine.py
	$(BIN)/python benchmarks/kill_resume.py --kills 10

docs: setup
	for page in model judge verifier sandbox evaluation gate pretrain sft dpo reward_model rlvr iterate evaluate; do $(BIN)/rlvr explain $$page; echo; done > docs/recipe-keys.txt

clean:
	rm -rf .venv build dist *.egg-info
