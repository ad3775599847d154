#!/usr/bin/env bash
# Makes .venv with exactly the packages of requirements.lock.txt, and segcore from this folder.
# $PYTHON names the Python; without it an existing .venv stays, or a fitting Python is looked for.
# With --fits: only says, by its status, whether .venv is of the version of $PYTHON.
set -euo pipefail
cd "$(dirname "$0")/.."

runs() { # is $1 a Python 3.11, 3.12 or 3.13 that really starts and can make environments?
  "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
    >/dev/null 2>&1
}

version() { # 3.12, or nothing where $1 is no Python
  "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

fits() { # does .venv run, and is it what was asked for?
  runs .venv/bin/python && { [ -z "${PYTHON:-}" ] ||
    [ "$(version .venv/bin/python)" = "$(version "$PYTHON")" ]; }
}

if [ "${1:-}" = --fits ]; then fits; exit; fi

if [ -n "${PYTHON:-}" ] && ! runs "$PYTHON"; then
  found=$(version "$PYTHON")
  echo "PYTHON=$PYTHON is ${found:+Python }${found:-nothing that starts as Python}; the course" \
    "needs a Python 3.11, 3.12 or 3.13 that can make virtual environments." >&2
  exit 1
fi

if ! fits; then
  found=""
  for candidate in ${PYTHON:+"$PYTHON"} python3.12 python3.13 python3.11 python3 python \
      /usr/bin/python3; do
    if runs "$candidate"; then found=$candidate; break; fi
  done
  if [ -z "$found" ]; then
    echo "No Python 3.11, 3.12 or 3.13 was found that can make a virtual environment." >&2
    echo "Install one from python.org (on Debian and Ubuntu: apt-get install python3-venv)," >&2
    echo "or name yours: make book PYTHON=/path/to/python3.12" >&2
    exit 1
  fi
  echo "Making .venv with Python $(version "$found") ..."
  rm -rf .venv
  "$found" -m venv .venv
fi

echo "Installing packages (about 2.5 GB on disk, 2-4 minutes the first time) ..."
log=.venv/install.log
if ! .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
      -r requirements.lock.txt >"$log" 2>&1 ||
   ! .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation \
      -e . >>"$log" 2>&1; then
  grep -E '^ERROR' "$log" >&2 || tail -n 5 "$log" >&2
  echo "The packages could not be installed; the whole log is in $log." >&2
  exit 1
fi
touch .venv/.installed
echo "Packages are ready."
