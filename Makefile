# make setup, setup-test, demo, test, test-unit, test-lerobot, reproduce, lint, docs, clean. Each sets up what it needs first; a second run starts in
# seconds. setup: what the demo needs, with the command .venv/bin/lwd. setup-test: PyTorch as well, for training and the tests.
#
#   ROS=jazzy|kilted   which ROS 2 wheels to install where no ROS 2 is sourced (default jazzy)
#   PYTHON=python3.12  the Python to build on (default: the first of python3, python3.11, python3.12 that is 3.11 or 3.12)
#   TORCH_INDEX=URL    package index for torch alone, e.g. https://download.pytorch.org/whl/cpu (from `make setup-test` on)
#   DEMO=ways          which story: drawer (default), or ways: one request twenty times, many ways
#   DEMO_ARGS, TEST_ARGS   passed on to `lwd demo` and to pytest
#   COVERAGE=1         `make test` prints which lines of lwd_ros its own tests, without those of nodes, leave untested
#   LEROBOT=FOLDER, LEROBOT_PYTHON=python3.12   environment of lerobot 0.6.1 for `make test-lerobot`, and the Python to make it of
#   MODELS="NAME ..."  what `make reproduce` makes, of config/train/NAME.yaml (default: the shipped models)
#
# Where a ROS 2 is sourced, its rclpy is used and no ROS wheels are installed.

ROS ?= jazzy
SHELL := /bin/bash
.DEFAULT_GOAL := help
RUNS = command -v $(1) >/dev/null && $(1) -c '$(2)' 2>/dev/null && echo $(1)

ifneq ($(ROS_DISTRO),)
  # A Python of conda or pyenv that comes first on PATH does not see the sourced rclpy; the system's does.
  SOURCED_PYTHON := $(firstword $(foreach p,$(or $(PYTHON),python3 /usr/bin/python3),$(shell $(call RUNS,$(p),import rclpy))))
endif
ifneq ($(SOURCED_PYTHON),)
  override ROS := $(ROS_DISTRO)
  override PYTHON := $(SOURCED_PYTHON)
  VENV := .venv-sourced-$(ROS_DISTRO)
else
  VENV := $(if $(filter jazzy,$(ROS)),.venv,.venv-$(ROS))
  PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12,$(shell \
    $(call RUNS,$(p),import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))))))
  ifeq ($(filter jazzy kilted,$(ROS)),)
    $(error ROS=$(ROS): PyPI has jazzy and kilted; source any other ROS 2 before make)
  endif
  # What another ROS 2 left behind would come before the wheels.
  unexport PYTHONPATH AMENT_PREFIX_PATH CMAKE_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
  ifneq ($(ROS_DISTRO)$(_ROS_WHEELS_BOOTSTRAP_COMPLETE),)
    unexport LD_LIBRARY_PATH ROS_DISTRO
  endif
endif

# Where it is set, each of the hundreds of processes that the tests start would compile all of lwd_ros anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := $(VENV)/bin
DOCS := .venv-docs
LEROBOT ?= .venv-lerobot
LEROBOT_PYTHON ?= python3.12
LOG := $(VENV)/setup.log
PINS := $(VENV)/constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --no-build-isolation -c $(PINS)
MSGS := $(shell find lwd_msgs -type f)

# $(call quietly,what is done,command): one line on the screen, the rest in the log, its end shown if the command fails
quietly = @echo "[setup] $(1)"; ($(2)) >> $(LOG) 2>&1 || { tail -n 25 $(LOG); echo "[setup] failed; all of it is in $(LOG)"; exit 1; }

MODELS ?= $(basename $(notdir $(wildcard config/train/*.yaml)))

.PHONY: help setup setup-test demo test test-unit test-lerobot reproduce lint docs docs-links clean
.PRECIOUS: data/%/meta.json out/reproduce/%.onnx
.DELETE_ON_ERROR:

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

setup: $(VENV)/stamp-lwd_ros

setup-test: $(VENV)/stamp-test

demo: setup
	$(BIN)/lwd demo $(DEMO) $(DEMO_ARGS)

# Tests of real nodes mostly wait, so the others run beside them, at the lowest priority: half the time on two cores. What
# those print comes last. Two torch threads on small networks are many times slower than one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
COVERED := --cov=lwd_ros --cov-report=term-missing:skip-covered
test: setup-test
ifneq ($(TEST_ARGS),)
	$(PYTEST) $(TEST_ARGS)
else
	@echo "[test] those without nodes print last; until then: tail -f $(VENV)/test.log"
	@OMP_NUM_THREADS=1 nice -n 19 $(BIN)/python -m pytest --ignore test/nodes -n 2 --dist loadfile --no-loadscope-reorder $(if $(COVERAGE),$(COVERED)) \
	  > $(VENV)/test.log 2>&1 & others=$$!; \
	  trap "kill $$others 2>/dev/null" EXIT; \
	  $(PYTEST) test/nodes; nodes=$$?; wait $$others; status=$$?; cat $(VENV)/test.log; exit $$((nodes | status))
endif

# Neither processes nor training: under a minute on two cores.
test-unit: setup-test
	$(PYTEST) -n auto test/unit

# Two models of one dataset must not collect it at the same time; what runs here is parallel itself.
.NOTPARALLEL:

# From nothing to the shipped models and their figures. What is there already is not made again.
reproduce: setup-test $(MODELS:%=out/reproduce/%.json)
	@echo "models and results are in out/reproduce; the shipped ones are in models and benchmarks/results/metaworld"

# The dataset of a model is named in its name: metaworld_mt10_visible learns from data/metaworld_mt10, and
# metaworld_mt10_anywhere from data/metaworld_mt10_anywhere, whose demonstrations start otherwise.
STARTS_anywhere := --anywhere 400
data/%/meta.json:
	$(BIN)/lwd collect --tasks $(call part,1,$*)/$(call part,2,$*) $(STARTS_$(call part,3,$*)) --out $(@D)

out/reproduce/%.onnx: config/train/%.yaml | setup-test
	@$(MAKE) --no-print-directory data/$(call dataset,$*)/meta.json
	$(BIN)/lwd train --config $< --data data/$(call dataset,$*) --out out/reproduce/runs/$*
	$(BIN)/lwd export --run out/reproduce/runs/$* --out $@

out/reproduce/%.json: out/reproduce/%.onnx
	$(BIN)/lwd evaluate --reporting --model $< --json $@

part = $(word $(1),$(subst _, ,$(2)))
dataset = $(subst $(space),_,$(wordlist 1,$(if $(STARTS_$(call part,3,$(1))),3,2),$(subst _, ,$(1))))

# LeRobot datasets opened by lerobot itself and its own opened by us, all numbers compared. Not in CI: torch with its CUDA
# libraries is 5.5 GB where PyPI is the only index (TORCH_INDEX=https://download.pytorch.org/whl/cpu makes it small).
test-lerobot: setup-test $(LEROBOT)/bin/lerobot-train
	$(BIN)/python -m lwd_benchmarks.peers.roundtrip --python $(LEROBOT)/bin/python --json benchmarks/results/peers/lerobot.json

$(LEROBOT)/bin/lerobot-train: constraints/lerobot.txt
	@echo "[setup] lerobot 0.6.1 in $(LEROBOT), of $$($(LEROBOT_PYTHON) --version): minutes"
	@$(LEROBOT_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 12) and "lerobot 0.6.1 needs Python 3.12: LEROBOT_PYTHON=...")'
	@$(LEROBOT_PYTHON) -m venv $(LEROBOT)
	@$(if $(TORCH_INDEX),$(LEROBOT)/bin/python -m pip install --disable-pip-version-check -q --index-url $(TORCH_INDEX) torch==2.14.1 torchvision==0.29.1)
	@$(LEROBOT)/bin/python -m pip install --disable-pip-version-check -q -r $<
	@$(LEROBOT)/bin/python -m pip install --disable-pip-version-check -q --no-deps lerobot==0.6.1
	@touch $@

# Style and types; needs no ROS 2, no simulator and no PyTorch.
lint: $(VENV)/stamp-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in docs/_build/html. Its packages have an environment of their own: they ask for other versions of what colcon uses.
docs: $(DOCS)/stamp-docs
	$(DOCS)/bin/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "the site: docs/_build/html/index.html"

# Links that leave the site: needs the network, and other people's servers.
docs-links: $(DOCS)/stamp-docs
	$(DOCS)/bin/sphinx-build -W --keep-going -q -b linkcheck docs docs/_build/linkcheck

clean:
	rm -rf .venv .venv-* build install log dist lwd_ros.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis \
	  docs/_build docs/reference/generated

$(VENV)/stamp-venv:
	@sh scripts/check_system "$(PYTHON)" "$(SOURCED_PYTHON)"
	@echo "[setup] Python environment in $(VENV), of $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(if $(SOURCED_PYTHON),--system-site-packages) $(VENV)
	@touch $@

$(PINS): constraints/$(if $(SOURCED_PYTHON),jazzy,$(ROS)).txt $(VENV)/stamp-venv
ifneq ($(SOURCED_PYTHON),)
	@# NumPy and what generates messages must be the sourced ROS 2's own; later pyarrow refuses NumPy 1.
	@grep -v -E '^(ros-|numpy|pyarrow|catkin-pkg|empy|lark)' $< > $@
	@$(PYTHON) -c 'import numpy; print(f"numpy=={numpy.__version__}")' >> $@
	@grep -q '^numpy==1' $@ && echo 'pyarrow==21.0.0' >> $@ || grep '^pyarrow' $< >> $@
else
	@cp $< $@
endif

$(VENV)/stamp-build: constraints/build.txt $(PINS)
	$(call quietly,build tools,$(PIP_INSTALL) -r constraints/build.txt)
	@touch $@

# The wheels' bootstrapper puts $(VENV)/lib, where lwd_msgs goes, on the library path: a sourced ROS 2 needs it as well.
$(VENV)/stamp-ros: $(if $(SOURCED_PYTHON),,constraints/ros-$(ROS).txt) $(VENV)/stamp-build
ifneq ($(SOURCED_PYTHON),)
	$(call quietly,ROS 2 $(ROS) as sourced,$(PIP_INSTALL) ros-wheels-bootstrapper==0.1.2)
else
	$(call quietly,ROS 2 $(ROS) from PyPI: 20 seconds and 270 MB,$(PIP_INSTALL) -r $<)
endif
	@touch $@

$(VENV)/stamp-lwd_msgs: $(MSGS) $(VENV)/stamp-ros
	$(call quietly,lwd_msgs: 20 to 60 seconds,$(if $(SOURCED_PYTHON),$(BIN)/python -c 'from lwd_msgs.msg import PolicyWeights' ||) \
	  PATH="$(abspath $(BIN)):$$PATH" $(PIP_INSTALL) --no-deps --force-reinstall ./lwd_msgs)
	@touch $@

$(VENV)/stamp-lwd_ros: setup.py setup.cfg pyproject.toml $(VENV)/stamp-lwd_msgs
	$(call quietly,lwd_ros and the simulator: 1 minute,$(PIP_INSTALL) -e .[demo$(comma)record])
	@touch $@

# PyPI has no tf2_msgs: the one message of it that the nodes read is built from test/tf2_msgs, for the tests alone.
$(VENV)/stamp-tf2_msgs: $(shell find test/tf2_msgs -type f) $(VENV)/stamp-lwd_msgs
ifeq ($(SOURCED_PYTHON),)
	$(call quietly,tf2_msgs for the tests: 20 seconds,$(BIN)/python -c 'import tf2_msgs.msg' || \
	  PATH="$(abspath $(BIN)):$$PATH" $(PIP_INSTALL) --no-deps ./test/tf2_msgs)
endif
	@touch $@

$(VENV)/stamp-test: benchmarks/pyproject.toml $(VENV)/stamp-lwd_ros $(VENV)/stamp-tf2_msgs
ifneq ($(TORCH_INDEX),)
	$(call quietly,torch from $(TORCH_INDEX),$(PIP_INSTALL) --no-deps --index-url $(TORCH_INDEX) torch==2.13.0)
endif
	$(call quietly,training and test tools: minutes,$(PIP_INSTALL) -e .[train$(comma)dev])
	$(call quietly,benchmarks,$(PIP_INSTALL) -e ./benchmarks)
	@touch $@

$(VENV)/stamp-lint: setup.py $(VENV)/stamp-build
	$(call quietly,ruff and mypy,$(PIP_INSTALL) ruff mypy types-PyYAML click pydantic)
	@touch $@

# lwd_ros itself is read from the tree, so this may run beside what installs it.
$(DOCS)/stamp-docs: constraints/docs.txt
	@echo "[setup] Sphinx in $(DOCS): 20 seconds"
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip install --disable-pip-version-check -q -r $<
	@touch $@

comma := ,
empty :=
space := $(empty) $(empty)
