"""Times are taken in turn and compared within a round; the clock is a fake, so nothing drifts."""

import json

import numpy as np
import pytest
from voc_folder import write_voc

from segcore import shipped
from segcore._files import write_bytes
from segcore.cli import main as cli
from segcore.data import voc
from segcore.export import convert, tflite
from segcore.export.convert import to_tflite
from segcore.export.interpreter import open_interpreter
from segcore.inference import benchmark
from segcore.models import deeplab


class Clock:
    """Seconds that only pass when a candidate says so; a round can be slow for all."""

    def __init__(self, monkeypatch):
        self.now, self.calls = 0.0, []
        monkeypatch.setattr(benchmark, "perf_counter", lambda: self.now)

    def candidate(self, name, milliseconds):
        def run():
            self.calls.append(name)
            rounds = len(self.calls) // 2  # of two candidates
            self.now += milliseconds / 1000 * (1 + rounds)  # the machine slows down for all

        return run


def test_a_machine_that_slows_down_does_not_change_the_ratio(monkeypatch):
    clock = Clock(monkeypatch)
    runs = {"slow": clock.candidate("slow", 20), "fast": clock.candidate("fast", 10)}
    timings = benchmark.interleave(runs, 40, reference="slow")
    assert [timing.name for timing in timings] == ["slow", "fast"]
    assert timings[0].ratio == 1 and timings[1].ratio == pytest.approx(0.5, rel=0.05)
    assert timings[0].p90 > 1.3 * timings[0].p50


def test_each_candidate_runs_once_a_round_in_changing_order(monkeypatch):
    clock = Clock(monkeypatch)
    runs = {name: clock.candidate(name, 1) for name in "ab"}
    benchmark.interleave(runs, 20, progress=list)
    warm_up, timed = clock.calls[: 2 * benchmark.WARM_UP], clock.calls[2 * benchmark.WARM_UP :]
    assert warm_up == ["a", "b"] * benchmark.WARM_UP
    rounds = [tuple(timed[i : i + 2]) for i in range(0, 40, 2)]
    assert set(rounds) == {("a", "b"), ("b", "a")}


@pytest.mark.parametrize(
    ("runs", "rounds", "reference", "said"),
    [
        ({}, 3, None, "runs must be one or more"),
        ({"a": int}, 0, None, "rounds must be 1 or more, not 0"),
        ({"a": int}, 3, "b", "reference must be one of a, not 'b'"),
    ],
)
def test_bad_arguments(runs, rounds, reference, said):
    with pytest.raises(ValueError, match=said):
        benchmark.interleave(runs, rounds, reference)


@pytest.fixture(scope="module")
def small():
    return deeplab.deeplab_v3_plus(65, 21, 8, 1, deeplab.DeepLabConfig(width=0.35))


@pytest.fixture(scope="module")
def file(small, tmp_path_factory):
    content = to_tflite(small, "float16")
    return write_bytes(tmp_path_factory.mktemp("benchmark") / "small.tflite", content)


@pytest.mark.slow
def test_profile_has_a_time_for_each_operator_that_runs(file):
    parts = benchmark.profile(file, rounds=2)
    operators = tflite.File(file).operators
    assert [p.operator for p in parts] == [o for o in operators if o.kind != "DEQUANTIZE"]
    assert all(part.ms > 0 for part in parts)
    sums = benchmark.sums_by_kind(parts)
    assert sum(sums.values()) == pytest.approx(sum(part.ms for part in parts))
    assert list(sums.values()) == sorted(sums.values(), reverse=True)
    table = benchmark.profile_table(parts, most=3)
    assert "all CONV_2D" in table and "100.0%" not in table.splitlines()[1]


def test_operators_alone_compute_what_they_compute_together(file):
    """Every operator, cut out and fed with what the whole network gave it, says the same."""
    cut = tflite.File(file)
    whole = open_interpreter(file, keep=True)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)
    whole.set_tensor(whole.get_input_details()[0]["index"], image)
    whole.invoke()
    for number, operator in enumerate(whole._get_ops_details()):
        if cut.is_unpacking(number):
            continue
        alone = open_interpreter(cut.single(number), keep=True)
        for source in alone.get_input_details():
            index = next(i for i in operator["inputs"] if _name(whole, i) == source["name"])
            alone.set_tensor(source["index"], whole.get_tensor(index))
        alone.invoke()
        found = alone.get_tensor(alone.get_output_details()[0]["index"])
        wanted = whole.get_tensor(operator["outputs"][0])
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def _name(interpreter, index):
    return interpreter._get_tensor_details(index, 0)["name"]


@pytest.mark.slow
def test_keras_runs_agree(small):
    runs = benchmark.keras_runs(small)
    answers = [np.asarray(run()) for run in runs.values()]
    assert len(answers) == 4 and answers[0].shape == (1, 65, 65, 21)
    for answer in answers[1:]:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-3, atol=1e-4)


def test_benchmark_command(file, tmp_path, capsys):
    out = tmp_path / "times.json"
    options = ["--threads", "1", "2", "--rounds", "2", "--profile", "--json", str(out)]
    assert cli.main(["benchmark", str(file), *options]) == 0
    said, stored = capsys.readouterr(), json.loads(out.read_text())
    assert "small.tflite, 1 thread " in said.out and "small.tflite, 2 threads" in said.out
    assert "LiteRT" in said.out and "all CONV_2D" in said.out and "2/2" in said.err
    assert [row["rounds"] for row in stored["timings"]] == [2, 2]
    assert stored["machine"]["processor"] and len(stored["operators"][str(file)]) == 84


def test_files_of_one_name_are_timed_apart(tmp_path, monkeypatch, capsys):
    files = [tmp_path / folder / "m.tflite" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.touch()
    timed = []
    monkeypatch.setattr(benchmark, "file_run", lambda file, threads: lambda: timed.append(file))
    typed = [str(file) for file in files]
    assert cli.main(["benchmark", *typed, "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "m.tflite, 1 thread " in said and "m_2.tflite, 1 thread " in said
    assert set(timed) == set(files)


def test_networks_are_timed_by_their_names(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "file_run", lambda file, threads: lambda: None)
    monkeypatch.setattr(benchmark, "keras_runs", lambda network: {network.name: lambda: None})
    assert cli.main(["benchmark", "--rounds", "1"]) == 0
    assert "phone, 1 thread " in capsys.readouterr().out
    assert cli.main(["benchmark", "sharp", "float", "--size", "65", "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert "sharp, 1 thread " in said and "float, deeplab_light " in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["benchmark", "m.keras"], "*.keras: cannot be timed"),
        (["benchmark", "phone", "--size", "257"], "--size is for networks under Keras"),
        (["benchmark", "float", "--threads", "2"], "--threads and --profile are for .tflite"),
        (["benchmark", "float", "--profile"], "--threads and --profile are for .tflite"),
        (["benchmark", "lost.tflite"], "lost.tflite: no such model file"),
        (["export", "--precision", "int8", "--size", "65"], "int8 needs photos"),
        (["export", "--precision", "int8", "--argmax"], "int8 needs photos"),
        (["export", "--model", "m.tflite"], "m.tflite: cannot be exported; wanted phone, sharp"),
        (["export", "--calibrate", "."], "no photos"),
        (["export", "--precision", "float32", "--size", "256"], "size must be 16k+1"),
        (["export", "--precision", "float32", "--model", "lost.npz"], "lost.npz: no such"),
        (["export", "--precision", "float32", "--check", "."], "ImageSets"),
    ],
)
def test_bad_commands_end_with_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.keras").touch()
    assert cli.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert said in lines[-1] and len(lines) == 1


def test_export_alone_writes_all_four(tmp_path, capsys):
    """The shipped int8 file where photos would be wanted for another; each names its classes."""
    assert cli.main(["export", "--out", str(tmp_path)]) == 0
    files = {name: tmp_path / f"deeplab_{name}_257.tflite" for name in convert.PRECISIONS}
    assert files["int8"].read_bytes() == shipped.PHONE.file.read_bytes()
    assert {tflite.File(file).class_names for file in files.values()} == {voc.CLASSES}
    stored = json.loads((tmp_path / "contract.json").read_text())
    assert list(stored["files"]) == list(files) and stored["calibration"] == {"as_shipped": "phone"}
    assert "int8 " in capsys.readouterr().out


def test_a_size_without_an_int8_file_is_exported_without_and_says_so(tmp_path, capsys):
    options = ["--model", "float", "--size", "65", "--out", str(tmp_path)]
    assert cli.main(["export", *options]) == 0
    assert "no int8 file: needs photos" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*.tflite"))) == 3


@pytest.mark.slow
def test_export_command(tmp_path, capsys):
    write_voc(tmp_path / "voc", n_train=2, n_val=1, size=96)
    photos = str(tmp_path / "voc")
    options = ["--size", "65", "--precision", "float32", "int8", "--photos", "2", "--seed", "5"]
    options += ["--calibrate", photos, "--check", photos, "--out", str(tmp_path / "out")]
    assert cli.main(["export", *options]) == 0
    said, text = capsys.readouterr(), (tmp_path / "out" / "contract.json").read_text()
    stored = json.loads(text, parse_constant=pytest.fail)
    assert 0 < stored["files"]["int8"]["miou"] < 1
    assert "mIoU" in said.out and "none" in said.out and "2/2" in said.err
    assert set(stored["files"]) == {"float32", "int8"}
    assert stored["files"]["int8"]["in_float"] == [] and stored["files"]["int8"]["threads"] == 1
    off = {name: held["logit_difference"] for name, held in stored["files"].items()}
    assert off["float32"] < 0.001 < 0.1 < off["int8"]
    assert stored["calibration"]["seed"] == 5 and stored["calibration"]["photos"] == 2
    val = {photo.name for photo, _ in voc.file_pairs(photos)}
    assert not val & set(stored["calibration"]["names"])
    assert (tmp_path / "out" / "deeplab_int8_65.tflite").stat().st_size < 3.3e6
