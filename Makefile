# A thin face of `rlhf-compare`. Every target sets up what it needs; a second call installs nothing.
#   make compare RECIPE=recipes/tiny.yaml SEEDS="0 1 2" ARGS="ppo.kl_coef=0.1"
#   make compare SEEDS="5 6 7 8 9" REPORTS=reports/fresh
#   make ask Q="What is Python?"

RECIPE ?= recipes/tiny.yaml
SEEDS  ?= 0
ARGS   ?=
REPORTS ?= reports
PYTHON ?= python3
export ARGS  # as one text, so that no shell splits model.lora={r: 16, lora_alpha: 32}
Q      ?=
override Q := $(value Q)# as it was typed: to make a $$ in a question is no variable
export Q

VENV := .venv
BIN  := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN  := $(BIN)/rlhf-compare
# two processes of one thread each: tests of small models gain nothing from a second thread
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help compare sensitivity data sft reward ppo dpo evaluate ask tune frontier replicate models report oracle setup test test-all check bench release clean

help:  ## print this list
	@echo 'make <target> [RECIPE=$(RECIPE)] [SEEDS="0 1 2"] [ARGS="section.field=value ..."]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

compare: $(STAMP)  ## train PPO and DPO, measure both, write reports/<recipe>/
	$(RUN) compare --reports "$(REPORTS)" --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

sensitivity: $(STAMP)  ## compare, and each method at a third and at three times its learning rate
	$(RUN) compare --sensitivity --reports "$(REPORTS)" --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

ppo: $(STAMP)  ## what PPO needs: SFT, reward model, PPO; ends with its row of the table
	$(RUN) ppo --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

dpo: $(STAMP)  ## what DPO needs: SFT, DPO; ends with its row of the table
	$(RUN) dpo --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

data: $(STAMP)  ## prepare the data and show them, before anyone trains (no SEEDS)
	$(RUN) data --reports "$(REPORTS)" --recipe "$(RECIPE)" --args "$$ARGS"

sft: $(STAMP)  ## the SFT model that both start from (no SEEDS: its seed is ARGS=seed=N)
	$(RUN) sft --recipe "$(RECIPE)" --args "$$ARGS"

reward: $(STAMP)  ## the reward model, and what the doctor found in it
	$(RUN) reward --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

evaluate: $(STAMP)  ## measure every method with one harness, print the table
	$(RUN) evaluate --recipe "$(RECIPE)" --seeds "$(SEEDS)" --args "$$ARGS"

ask: $(STAMP)  ## let the trained models answer Q="..." side by side, or the recipe's questions
	@$(RUN) ask --recipe "$(RECIPE)" $(if $(filter file,$(origin SEEDS)),,--seeds "$(SEEDS)") --args "$$ARGS" $(if $(Q),--question="$$Q")

tune: $(STAMP)  ## search every method's grid on the tuning prompts (seed 100, or SEEDS=)
	$(RUN) tune --reports "$(REPORTS)" --recipe "$(RECIPE)" --seeds "$(if $(filter file,$(origin SEEDS)),100,$(SEEDS))" --args "$$ARGS"

frontier: $(STAMP)  ## each method over its knob, against KL (seeds 0 1 2, or SEEDS=)
	$(RUN) frontier --reports "$(REPORTS)" --recipe "$(RECIPE)" --seeds "$(if $(filter file,$(origin SEEDS)),0 1 2,$(SEEDS))" --args "$$ARGS"

# what was reported first, and the log of the search if there is one
FIRST  ?= reports/$(basename $(notdir $(RECIPE)))/results.json
FRESH  ?= reports/fresh/$(basename $(notdir $(RECIPE)))/results.json
TUNING ?= $(wildcard reports/$(basename $(notdir $(RECIPE)))/tuning/tuning.json)

replicate: $(STAMP)  ## hold the report of fresh seeds (REPORTS=reports/fresh) against the first
	$(RUN) replicate "$(FIRST)" "$(FRESH)" $(if $(TUNING),--tuning "$(TUNING)")

models: $(STAMP)  ## fetch the small language models that recipes can name, once (no RECIPE)
	$(RUN) models

report: $(STAMP)  ## draw the report again from results.json (no SEEDS, no ARGS)
	$(RUN) report --reports "$(REPORTS)" --recipe "$(RECIPE)"

test: $(STAMP)  ## the fast tests
	$(PYTEST)

test-all: $(STAMP)  ## the slow ones too: they train for minutes
	$(PYTEST) -m ""

check: $(STAMP)  ## lint, types, import layers, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

bench: $(STAMP)  ## speed and memory against TRL's trainers; downloads TRL 1.12 once
	$(BIN)/python -m benchmarks.ppo_vs_trl --roofline
	$(BIN)/python -m benchmarks.ppo_vs_trl --lora
	$(BIN)/python -m benchmarks.dpo_vs_trl

release: $(STAMP)  ## build dist/, then try the wheel in an empty directory
	.ci/release $(BIN)/python dist

oracle: $(STAMP)  ## PPO and DPO against an exact optimum (4 to 10 minutes; no recipe)
	OMP_NUM_THREADS=1 $(RUN) oracle --reports "$(REPORTS)"

setup: $(STAMP)  ## create .venv from requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:  ## remove what commands made: runs, reports (not the committed ones), caches; .venv stays
	rm -rf runs wandb build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find reports -mindepth 1 -maxdepth 1 ! -name examples ! -name oracle ! -name README.md -exec rm -rf {} +
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
