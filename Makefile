# Only the way in: an environment from the lock, then Invoke does the work.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	command -v $$each >/dev/null 2>&1 && $$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && { echo $$each; break; }; done)
VENV ?= .venv
INVOKE = $(VENV)/bin/invoke

.PHONY: demo test check clean
demo: $(VENV)/.installed
	@$(INVOKE) demo $(DEMO)

test: $(VENV)/.installed
	@$(INVOKE) test

check: $(VENV)/.installed
	@$(INVOKE) check

$(VENV)/.installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed (Debian: apt-get install python3-venv)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@touch $@

clean:
	rm -rf $(VENV)
