#!/bin/sh
# make demo: the base install alone in an environment of its own, then the demo. PYTHON, VENV and PORT come from the Makefile.
set -eu
cd "$(dirname "$0")/.."
: "${PYTHON:=python3}" "${VENV:=.venv-demo}" "${PORT:=8080}"

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "billsmith needs Python 3.11 or newer; name one: make demo PYTHON=python3.12")'

# Installed anew when anything of the program changed since.
if [ ! -e "$VENV/.ready" ] || [ -n "$(find pyproject.toml src -newer "$VENV/.ready" -type f ! -name '*.pyc' -print -quit)" ]; then
    began=$(date +%s)
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check .
    touch "$VENV/.ready"
    echo "Installing took $(($(date +%s) - began)) s."
else
    echo "Installed already: $VENV."
fi
exec "$VENV/bin/billsmith" demo --port "$PORT" "$@"
