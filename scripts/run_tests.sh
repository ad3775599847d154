#!/usr/bin/env bash
# Every test, one kind after the other; the first failing kind ends the run. `make test` runs this.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=$root/.venv/bin/python

CHROMIUM=$("$python" scripts/find_chromium.py --fetch)
export CHROMIUM

echo "== Sources and notebooks"
"$python" scripts/chapters.py --check

echo "== Unit, book and browser tests"
"$python" -m pytest -n 2 --dist loadfile -q tests

echo "== Every output of every chapter, from the wheel, in an empty folder"
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
"$python" -m build --wheel --no-isolation --outdir "$empty/dist" . >"$empty/build.log" 2>&1 ||
  { cat "$empty/build.log" >&2; exit 1; }
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index \
  --target "$empty/site" "$empty"/dist/*.whl
mkdir "$empty/run"
cp chapters/*.ipynb "$empty/run"
cd "$empty/run"
export PYTHONPATH=$empty/site
case $("$python" -c 'import segcore; print(segcore.__file__)') in
  "$empty"/site/*) ;;
  *) echo "segcore was not taken from the wheel" >&2; exit 1 ;;
esac
printf '[pytest]\nfilterwarnings = error\n' >pytest.ini
# Without its own root, pytest gives the cells of all chapters the same names, and xdist then
# runs one chapter and drops the others without a word. Hence --rootdir, and the count.
"$python" -m pytest -q -c pytest.ini --rootdir . -p no:cacheprovider -n 2 --dist loadfile \
  --nbval --nbval-cell-timeout 300 --nbval-sanitize-with "$root/tests/nbval_sanitize.cfg" \
  --junit-xml "$empty/report.xml" ./*.ipynb
"$python" "$root/scripts/count_cells.py" "$empty/report.xml" ./*.ipynb
