"""Says whether pytest really compared every code cell: `count_cells.py REPORT.xml NOTEBOOK...`."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import nbformat


def main(arguments: list[str]) -> int:
    """1 and a sentence when the report tells of fewer cells than the notebooks hold."""
    report, *notebooks = arguments
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        raise ValueError(f"{report} is no report of pytest")
    skipped = int(suite.get("skipped", 0))
    compared = int(suite.get("tests", 0)) - skipped
    wanted = sum(
        cell.cell_type == "code"
        for path in notebooks
        for cell in nbformat.reads(Path(path).read_text(encoding="utf-8"), as_version=4).cells
    )
    if compared != wanted:
        print(f"{compared} cells were compared, the chapters have {wanted}.", file=sys.stderr)
        return 1
    print(f"All {wanted} cells of {len(notebooks)} chapters gave their stored output.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
