# Every target sets up what it needs in .venv; a second run does not install again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo serve export train teach proto check format test bench attention-cost loadtest report compare-triton triton
help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

setup: $(READY)  ## install everything into .venv
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("CoordServe needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# Where it is installed (Debian: libtcmalloc-minimal4), an allocator that keeps its pages: activations come and go by
# the megabyte, and the usual one returns them to the kernel each time.
ALLOCATOR := $(firstword $(wildcard /usr/lib/*/libtcmalloc_minimal.so.4 /usr/lib64/libtcmalloc_minimal.so.4))
KEEPING_PAGES := $(if $(ALLOCATOR),LD_PRELOAD=$(ALLOCATOR)$(LD_PRELOAD:%=:%))

# The default model; it is made from the weights in modeling/weights.
MODEL := model_repository/ca_mobilenetv2/1/model.pt
$(MODEL): $(wildcard modeling/weights/*.safetensors) | $(READY)
	$(BIN)/python -m modeling.export --weights bundled --model-repository model_repository
	@touch $@

demo: $(MODEL)  ## serve, classify real photographs, offer some load, print labels and percentiles
	$(BIN)/python -m loadtest.demo --model ca_mobilenetv2

serve: $(MODEL)  ## serve model_repository until Ctrl-C (ARGS="--grpc-port 9001" for other settings)
	$(KEEPING_PAGES) $(BIN)/python -m server $(ARGS)

WEIGHTS ?= bundled
export: $(READY)  ## make a model directory (WEIGHTS=bundled, imagenet or a file; ARGS="--size 224 --name mine")
	$(BIN)/python -m modeling.export --weights $(WEIGHTS) --model-repository model_repository $(ARGS)

train: $(READY)  ## train on CIFAR-10 (ARGS="--data DIRECTORY" for images of your own)
	$(KEEPING_PAGES) $(BIN)/python -m modeling.train $(ARGS)

teach: $(READY)  ## train a quick teacher for images of few pixels, to train from with --teachers
	$(KEEPING_PAGES) $(BIN)/python -m modeling.teach $(ARGS)

bench: $(MODEL)  ## what the parts cost: the engine, decoding, and serving beside the model
	$(BIN)/python -m tests.benchmarks.engine
	$(BIN)/python -m tests.benchmarks.imaging
	$(BIN)/python -m tests.benchmarks.metrics
	$(BIN)/python -m tests.benchmarks.serving

attention-cost: $(READY)  ## what attention costs: the family in the engine and served, a page and a plot in docs (ARGS="--rounds 5")
	$(BIN)/python -m tests.benchmarks.attention_cost $(ARGS)

URL ?= 127.0.0.1:8001
SCENARIO ?= poisson
loadtest: $(READY)  ## offer load to a running server (URL=, SCENARIO=, ARGS="--rate 50 --objective 100ms --images DIRECTORY")
	$(BIN)/python -m loadtest run $(SCENARIO) --url $(URL) $(ARGS)

report: $(READY)  ## write the report of a result again (DIR=)
	$(BIN)/python -m loadtest report $(DIR)

compare-triton: $(MODEL)  ## this server and Triton in alternating rounds, one report (ARGS="--rounds 3 --rates 20,40 --output DIR")
	$(BIN)/python -m loadtest compare-servers $(ARGS)

proto: $(READY)  ## regenerate the gRPC stubs from proto/classifier.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. proto/classifier.proto

check: $(READY)  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(READY)  ## rewrite the sources in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(READY)  ## the whole test suite
	$(BIN)/python -m pytest

REPOSITORY ?= model_repository
HTTP_PORT ?= 8000
GRPC_PORT ?= 8001
METRICS_PORT ?= 8002
triton: $(MODEL)  ## a real Triton on the same repository, without Docker (REPOSITORY=, GRPC_PORT=, HTTP_PORT=, METRICS_PORT=)
	$(BIN)/python -m deploy.triton --model-repository $(REPOSITORY) \
		--grpc-port $(GRPC_PORT) --http-port $(HTTP_PORT) --metrics-port $(METRICS_PORT)
