"""No answer from a broken network, no crash from several threads, no option ignored."""

import threading

import numpy as np
import pytest
import skimage.data
from PIL import Image

from segcore import shipped
from segcore._files import write_bytes
from segcore._keras import keras
from segcore.cli import main as cli
from segcore.data import voc
from segcore.export import tflite
from segcore.export.calibration import Calibration
from segcore.export.convert import to_tflite
from segcore.export.labels import with_labels
from segcore.inference.evaluate import evaluate
from segcore.inference.segmenter import Segmenter, load, wrap

PHOTO = skimage.data.chelsea()[:60, :90]
NAMES = ("sky", "road", "tree")


def network(bias=(0.0, 0.0, 1.0), side=33):
    """A convolution whose scores are its bias: class 2 wins everywhere."""
    image = keras.Input((side, side, 3), batch_size=1)
    layer = keras.layers.Conv2D(len(bias), 1, kernel_initializer=keras.initializers.Constant(1e-6))
    made = keras.Model(image, layer(image))
    layer.bias.assign(np.array(bias))
    return made


def content(**changed):
    return to_tflite(network(**changed), "float32")


def rewritten(source, change):
    """A .tflite after `change(model)`."""
    file = tflite.File(source)
    change(file.model)
    return tflite.write(file.model)


def spoilt(bad, argmax):
    """A .tflite whose bias is `bad`, as bytes."""

    def spoil(model):
        (buffer,) = [b for b in model.buffers if b.data is not None and len(b.data) == 12]
        buffer.data = np.frombuffer(np.array([0, bad, 0], np.float32).tobytes(), np.uint8)

    return rewritten(to_tflite(network((0.5, 1.5, 2.5)), "float32", argmax=argmax), spoil)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_no_answer(bad):
    for argmax in (False, True):
        with pytest.raises(ValueError, match="the content: holds weights that are not finite"):
            load(spoilt(bad, argmax), class_names=NAMES)
    with pytest.raises(ValueError, match="net: answers with scores that are not finite"):
        wrap(network((0.0, bad, 0.0)), "net", NAMES)(PHOTO)


def test_finite_weights_whose_scores_overflow_are_no_answer():
    large = network((3e38, 3e38, 3e38))
    large.layers[1].kernel.assign(np.full((1, 1, 3, 3), 3e38))
    white = np.full((33, 33, 3), 255, np.uint8)
    with pytest.raises(ValueError, match="the content: answers with scores that are not finite"):
        load(to_tflite(large, "float32"), class_names=NAMES)(white)


def test_a_network_that_is_not_finite_is_not_exported():
    with pytest.raises(ValueError, match=r"network: .*bias holds values that are not finite"):
        to_tflite(network((0.0, np.inf, 0.0)), "float32")


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0])
def test_integers_without_a_scale_are_no_scores(scale):
    def spoil(model):
        graph = model.subgraphs[0]
        graph.tensors[graph.outputs[0]].quantization.scale = np.array([scale], np.float32)

    int8 = to_tflite(network(), "int8", Calibration((PHOTO,)))
    assert load(int8, class_names=NAMES)(PHOTO).names == ["tree"]
    with pytest.raises(ValueError, match="has a quantisation scale of"):
        load(rewritten(int8, spoil), class_names=NAMES)


def test_two_inputs_or_two_outputs_are_refused():
    import tensorflow as tf

    spec = tf.TensorSpec((1, 33, 33, 3))
    two_in = tf.function(lambda a, b: a * b).get_concrete_function(spec, spec)
    two_out = tf.function(lambda a: (a + 1, a * 2)).get_concrete_function(spec)
    for graph, said in ((two_in, "has 2 inputs"), (two_out, "has 2 outputs")):
        file = tf.lite.TFLiteConverter.from_concrete_functions([graph]).convert()
        with pytest.raises(ValueError, match=f"the content: {said}; one is wanted"):
            load(bytes(file))


def test_a_file_that_fails_when_it_runs_is_named(tmp_path):
    """A gather that reaches behind its table: LiteRT allocates it, and refuses when it runs."""
    import tensorflow as tf

    class Reach(keras.layers.Layer):
        def call(self, x):
            far = tf.cast(x[..., :1], tf.int32) + 7
            return tf.gather(tf.eye(3), far[..., 0])

    image = keras.Input((33, 33, 3), batch_size=1)
    path = write_bytes(
        tmp_path / "m.tflite", to_tflite(keras.Model(image, Reach()(image)), "float32")
    )
    segmenter = load(path, class_names=NAMES)
    with pytest.raises(ValueError, match=r"m\.tflite: does not run; export it anew \("):
        segmenter(PHOTO)


def test_a_network_of_eleven_classes_needs_their_names(tmp_path):
    few = network(np.arange(11))
    path = write_bytes(tmp_path / "m.tflite", to_tflite(few, "float32"))
    few.save(tmp_path / "m.keras")
    names = tuple("abcdefghijk")
    for file in (path, tmp_path / "m.keras"):
        with pytest.raises(
            ValueError, match=rf"{file.name}: 11 classes without names; give .*labels"
        ):
            load(file)
        with pytest.raises(ValueError, match="10 class names for 11 scores"):
            load(file, class_names=names[:10])
        assert load(file, class_names=names)(PHOTO).names == ["k"]
        beside = file.with_name(f"{file.name}.labels.txt")
        beside.write_text("\n".join(names))
        prediction = load(file)(PHOTO)
        assert prediction.fractions() == {"k": 1.0} and not prediction.names_assumed
        beside.unlink()
    with pytest.raises(ValueError, match="net: 11 classes without names"):
        wrap(few, "net")
    named = load(with_labels(path.read_bytes(), names))
    assert named.class_names == names and named(PHOTO).names == ["k"]


def test_twenty_one_classes_without_names_are_vocs_and_say_so(tmp_path, capsys):
    path = write_bytes(tmp_path / "m.tflite", content(bias=np.eye(21)[8]))
    Image.fromarray(PHOTO).save(tmp_path / "p.png")
    options = ["--model", str(path), "--out", str(tmp_path / "out")]
    assert cli.main(["predict", str(tmp_path / "p.png"), *options]) == 0
    assert "cat 100.0 %  (names assumed: VOC's)" in capsys.readouterr().out
    prediction = load(path)(PHOTO)
    assert prediction.names == ["cat"] and prediction.names_assumed
    assert prediction.class_names == voc.CLASSES


def test_labels_that_the_network_does_not_have_are_named(tmp_path):
    photo, mask = tmp_path / "p.png", tmp_path / "m.png"
    Image.fromarray(PHOTO).save(photo)
    voc.write_mask(mask, np.full(PHOTO.shape[:2], 2, np.uint8))
    three = load(content(), class_names=NAMES)
    assert evaluate(three, [(photo, mask)]).matrices[0, 2, 2] == PHOTO[..., 0].size
    voc.write_mask(mask, np.full(PHOTO.shape[:2], 15, np.uint8))
    with pytest.raises(ValueError, match=r"m\.png: labels holds class 15.*content has 3 classes"):
        evaluate(three, [(photo, mask)])


@pytest.mark.parametrize("kind", ["tflite", "keras"])
def test_several_threads_may_call_one_segmenter(kind):
    """Each thread has its own photo and gets that photo's mask, every time."""
    segmenter = load("phone") if kind == "tflite" else wrap(colours(), "net", NAMES)
    photos = [np.full((33, 33, 3), value, np.uint8) for value in (0, 80, 160, 240)]
    if kind == "tflite":
        photos = [skimage.data.chelsea(), skimage.data.coffee(), skimage.data.astronaut(), PHOTO]
    wanted, wrong = [segmenter(photo).mask for photo in photos], []

    def work(number):
        for _ in range(15):
            try:
                if not (segmenter(photos[number]).mask == wanted[number]).all():
                    wrong.append("another photo's mask")
            except Exception as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def colours():
    """Three scores that depend on the colour."""
    made = network()
    made.layers[1].kernel.assign(np.eye(3).reshape(1, 1, 3, 3) * [[[-1, 0, 1]]])
    return made


def test_threads_mean_nothing_to_keras_and_are_refused():
    with pytest.raises(ValueError, match=r"^float: threads=2 is for a \.tflite"):
        load("float", threads=2)


def test_wrapping_changes_nothing_in_the_network():
    made = network()
    made.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=True)
    kept = (made.optimizer, made.loss, made.jit_compile, made.predict_function)
    segmenter = wrap(made, "net", NAMES)
    assert segmenter(PHOTO).names == ["tree"]
    assert (made.optimizer, made.loss, made.jit_compile, made.predict_function) == kept
    made.layers[1].bias.assign([0.0, 1.0, 0.0])  # training goes on: the segmenter follows
    assert segmenter(PHOTO).names == ["road"]


def test_bytes_paths_and_names_are_one():
    path = shipped.PHONE.file
    box = np.random.default_rng(0).integers(0, 256, (257, 257, 3), np.uint8)
    answers = [load(given).infer(box) for given in ("phone", path, str(path), path.read_bytes())]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])
    with pytest.raises(FileNotFoundError, match=r"fone: no such model file; .* say phone, sharp"):
        load("fone")


def test_one_score_a_pixel_is_no_class_id():
    sigmoid = Segmenter(lambda box: np.full(box.shape[:2], 0.97), 33, "sigmoid")
    with pytest.raises(ValueError, match="sigmoid: answers with one float64 a pixel"):
        sigmoid(np.zeros((33, 33, 3), np.uint8))


def test_a_network_with_smaller_answers_is_refused():
    image = keras.Input((32, 32, 3))
    small = keras.Model(image, keras.layers.Conv2D(21, 1, strides=4)(image))
    with pytest.raises(ValueError, match=r"small: answers with \(8, 8, 21\) to 32×32"):
        wrap(small, "small")
