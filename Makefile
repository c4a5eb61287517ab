# Each target works as the first command ever typed: it installs what is missing and says so.
PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
export PYTHON VENV

.DEFAULT_GOAL := help
.PHONY: help setup dev demo test test-servers test-nightly lint format bench bench-full clean

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

setup:  ## a virtual environment in .venv with the `tablevault` command in it
	@bash scripts/setup.sh venv demo
	@echo "ready: $(VENV)/bin/tablevault --help"

dev:
	@bash scripts/setup.sh venv dev

demo:  ## the whole story on a private throw-away server
	@bash scripts/setup.sh server
	@bash scripts/setup.sh venv demo
	@$(VENV)/bin/tablevault demo $(ARGS)

test: dev  ## all tests, on a private MariaDB server (ARGS="-k codec" for some)
	@bash scripts/setup.sh server
	$(VENV)/bin/python -m pytest $(ARGS)

test-servers: dev  ## the server tests once more, on a real MySQL and on a newer MariaDB
	@bash scripts/setup.sh server
	@bash scripts/provision_server.sh mysql >/dev/null
	@bash scripts/provision_server.sh mariadb-new >/dev/null
	$(VENV)/bin/python -m pytest -n 2 --dist worksteal -m server --servers mysql,mariadb-new $(ARGS)

NIGHTLY ?= 2000
test-nightly: dev  ## thousands of generated tables on every server (NIGHTLY=2000 on each)
	@bash scripts/setup.sh server
	@bash scripts/provision_server.sh mysql >/dev/null
	@bash scripts/provision_server.sh mariadb-new >/dev/null
	TABLEVAULT_GENERATED=$(NIGHTLY) $(VENV)/bin/python -m pytest -n 2 \
	  tests/server/test_generated_tables.py tests/server/test_schema_diff_generated.py \
	  --servers mariadb,mysql,mariadb-new $(ARGS)

lint: dev  ## ruff, mypy --strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: dev  ## let ruff put the source in its form
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: dev  ## the measurements at a small scale, some minutes (ARGS passes options)
	@bash scripts/setup.sh server
	@bash scripts/setup.sh rivals
	@for bench in bench/bench_*.py; do \
	  echo "== $$bench"; $(VENV)/bin/python $$bench --quick $(ARGS) || exit 1; done

bench-full: dev  ## those of bench/README.md, which they renew: scale 1, all tables and rivals
	@bash scripts/setup.sh server
	@bash scripts/setup.sh rivals
	@VENV=$(VENV) bash bench/full.sh $(ARGS)

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build dist *.egg-info tablevault/rows/*.so tablevault/rows/rowcodec.c
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
