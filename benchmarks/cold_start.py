"""How long a new process takes until a photo is segmented: both int8 files, and Keras' network.

`make bench` runs it; it writes results/cold_start.json. Each round starts `segcore predict` on a
drawn scene of 500×375 pixels, once in each way; what counts is the time from the process's start
to its end, files written, and of that the median. The first round only warms the disk's cache.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from segcore.course import results
from segcore.data import toy

ROUNDS = 8
WAYS: dict[str, list[str]] = {
    "int8": [],
    "sharp": ["--model", "sharp"],
    "keras": ["--model", "float", "--size", "257"],
}


def milliseconds(folder: Path, arguments: list[str]) -> float:
    """One cold start."""
    command = [sys.executable, "-m", "segcore", "predict", "photo.png", "--out", "out", *arguments]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    options = results.parse(results.parser(__doc__))
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place:
        Image.fromarray(toy.scene(0)[0]).resize((500, 375)).save(Path(place) / "photo.png")
        for turn in tqdm(range(ROUNDS + 1), unit="round"):
            for way, arguments in WAYS.items():
                spent = milliseconds(Path(place), arguments)
                if turn:
                    times[way].append(spent)
    rows = {way: {"p50_ms": round(statistics.median(found))} for way, found in times.items()}
    print(results.record("cold_start", {**rows, "rounds": ROUNDS}, trial=options.trial), rows)
