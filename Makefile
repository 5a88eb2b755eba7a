# Two commands: `make demo` shows a whole study in minutes, `make test` proves the code.
# Both set themselves up: Python 3.11 or 3.12, make and git are all they need.

PYTHON ?= python3
CORES ?= 2
BIN := .venv/bin
INSTALLED := .venv/requirements.lock

.PHONY: demo test lint browser lock setup clean

demo: setup
	$(BIN)/python workflow/warm.py --cores $(CORES) --configfile config/demo.yaml
	@echo "The report: $(CURDIR)/results/demo/report/index.html"

test: setup lint browser
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow/rules

# For the test that rates images in a real browser; without one it is skipped, but under CI it fails.
browser:
	@command -v chromium || command -v google-chrome || tests/install_chromium \
		|| echo "No browser: install chromium (apt-get install chromium) to test the rating kit's page."

setup: $(INSTALLED)

# uv takes the standard builds of torch, which run on CPU and GPU. Without compiled bytecode each job would
# spend more time on imports than on its work.
$(INSTALLED): requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	cp requirements.lock $(INSTALLED)

# After a change of pyproject.toml.
lock:
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--group dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf results/demo
