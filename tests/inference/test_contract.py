"""Files with a known contract are found out: small ones made of colours, and real ones."""

import numpy as np
import pytest
import tensorflow as tf

from segcore import shipped
from segcore._keras import keras
from segcore.data import voc
from segcore.export.calibration import Calibration
from segcore.export.convert import _silence, to_tflite
from segcore.export.labels import with_labels
from segcore.inference import ways
from segcore.inference.agreement import Agreement, shared_information
from segcore.inference.contract import find_contract
from segcore.inference.contract_pictures import Picture, shipped_pictures
from segcore.inference.segmenter import load
from segcore.inference.ways import Answer, Network, Way, fit, tables
from segcore.models import pretrained

SIDE, CAT, DOG = 65, 8, 12
PALE, STRONG = 50, 150  # differences of colour: background, and a cat or dog
CAT_COLOUR, DOG_COLOUR = np.array([0.5, 0, -0.5]), np.array([-0.5, 0.5, 0])
Layers = keras.layers


def picture(seed):
    """Red patches are cats, green ones dogs; pale ones and grey are background."""
    random = np.random.default_rng(seed)
    image = np.full((64, 128, 3), 128.0) + random.normal(0, 3, (64, 128, 1))
    labels = np.zeros(image.shape[:2], np.uint8)
    for place in random.permutation(18)[:12]:
        top, left = 21 * (place // 6) + 2, 21 * (place % 6) + 2
        part = np.s_[top : top + 16, left : left + 16]
        strength, is_cat = random.choice([PALE, STRONG]), random.random() < 0.5
        image[part] += strength * (CAT_COLOUR if is_cat else DOG_COLOUR)
        labels[part] = 0 if strength == PALE else CAT if is_cat else DOG
    return Picture(image.clip(0, 255).astype(np.uint8), labels)


PICTURES = [picture(seed) for seed in range(8)]


def by_colour(*before, behind=(), ids=(0, CAT, DOG), classes=21):
    """A network that knows cats and dogs by their colour, in values from -1 to 1."""
    image = keras.Input((SIDE, SIDE, 3), batch_size=1)
    x = image
    for layer in before:
        x = layer(x)
    scores = Layers.Conv2D(classes, 1)
    x = scores(x)
    for layer in behind:
        x = layer(x)
    kernel, bias = np.zeros((1, 1, 3, classes)), np.full(classes, -2.0)
    kernel[0, 0, :, ids[1]], kernel[0, 0, :, ids[2]] = 2 * CAT_COLOUR, 2 * DOG_COLOUR
    bias[list(ids)] = 0.7, 0, 0
    scores.set_weights([kernel, bias])
    return keras.Model(image, x)


def found(network, *options, names=(), **more):
    content = to_tflite(network, *(options or ["float32"]), **more)
    return find_contract(Network(with_labels(content, names)), PICTURES)


def bgr():
    return Layers.Lambda(lambda x: x[..., ::-1])


def shifted(down, right):
    """Layers that move an answer down and to the right."""
    pads = Layers.ZeroPadding2D(((down, 0), (right, 0)))
    return pads, Layers.Cropping2D(((0, down), (0, right)))


def choice(contract, question):
    (chosen,) = [c for c in contract.choices if c.question == question]
    return chosen


# --- small files ---------------------------------------------------------------------------------


def test_a_file_as_promised():
    contract = found(by_colour())
    assert contract.way[:2] == ("-1 to 1", "RGB") and contract.is_aligned and contract.is_judged
    assert contract.measure == "mIoU" and contract.score > 0.8 and contract.remark == ""
    assert choice(contract, "values").is_sure and choice(contract, "order").is_sure
    assert contract.classes["cat"][0] == CAT and contract.classes["dog"][0] == DOG


@pytest.mark.parametrize(
    ("before", "values", "order"),
    [
        ([bgr], "-1 to 1", "BGR"),
        ([lambda: Layers.Rescaling(2, -1)], "0 to 1", "RGB"),
        ([lambda: Layers.Rescaling(1 / 127.5, -1)], "0 to 255", "RGB"),
        ([bgr, lambda: Layers.Rescaling(2, -1)], "0 to 1", "BGR"),
    ],
)
def test_other_values_and_orders_are_found(before, values, order):
    contract = found(by_colour(*(make() for make in before)))
    assert contract.way[:2] == (values, order) and contract.score > 0.8


def test_a_mask_beside_its_photo_is_found():
    contract = found(by_colour(behind=shifted(3, 5)))
    assert contract.offset == pytest.approx((3, 5), abs=0.5) and not contract.is_aligned
    assert choice(contract, "masks").is_sure


@pytest.mark.parametrize("interface", ["uint8", "int8", "float32"])
def test_integers_take_bytes(interface):
    ramp = np.broadcast_to(np.arange(0, 256, dtype=np.uint8)[None, :, None], (128, 256, 3))
    photos = Calibration((*(p.image for p in PICTURES), ramp))
    contract = found(by_colour(), "int8", photos, interface)
    assert contract.way.order == "RGB" and contract.score > 0.8
    wanted = {"uint8": "bytes as they are (-1 to 1)", "int8": "bytes less 128 (-1 to 1)"}
    assert contract.way.values == wanted.get(interface, "-1 to 1")


def test_ids_come_out_as_well_as_scores_and_at_a_smaller_size():
    ids = found(by_colour(bgr()), argmax=True)
    assert ids.way[:2] == ("-1 to 1", "BGR") and ids.score > 0.8
    small = found(by_colour(behind=[Layers.AveragePooling2D(2, padding="same")]))
    assert small.way[:2] == ("-1 to 1", "RGB") and small.score > 0.6


def test_ids_that_mean_something_else_are_told():
    contract = found(by_colour(bgr(), ids=(1, CAT + 1, DOG + 1)))
    assert contract.way[:2] == ("-1 to 1", "BGR") and contract.measure == "regions"
    assert contract.is_judged and contract.classes["cat"][0] == CAT + 1
    assert "ids do not mean what their names say: background by id 1" in contract.remark


def test_other_classes_are_judged_by_regions_unless_they_have_names():
    three = by_colour(ids=(0, 1, 2), classes=3)
    unnamed = found(three)
    assert unnamed.measure == "regions" and unnamed.way[:2] == ("-1 to 1", "RGB")
    assert "does not name the labelled classes" in unnamed.remark and unnamed.is_judged
    named = found(three, names=("wall", "Cat", "dog"))
    assert named.measure == "mIoU" and named.score > 0.8


def test_one_score_is_a_foreground():
    network = by_colour(ids=(1, 0, 2), classes=3)
    cat = Layers.Conv2D(1, 1, activation="sigmoid")
    model = keras.Model(network.input, cat(network.output))
    cat.set_weights([np.array([9.0, -9.0, 0]).reshape(1, 1, 3, 1), np.zeros(1)])
    contract = found(model)
    assert contract.measure == "regions" and contract.classes["cat"][0] == 1
    assert contract.way.order == "RGB" and contract.classes["background"][0] == 0


def test_a_network_that_knows_nothing_is_not_judged():
    network = by_colour()
    network.layers[-1].set_weights([0 * w for w in network.layers[-1].get_weights()])
    contract = found(network)
    assert not contract.is_judged and contract.score < 0.01


# --- files that are no segmenters ----------------------------------------------------------------


PHOTO = (SIDE, SIDE, 3)


def converted(shape, *layers):
    image = keras.Input(shape)
    x = image
    for layer in layers:
        x = layer(x)
    with _silence():
        model = keras.Model(image, x)
        return bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())


@pytest.mark.parametrize(
    ("shape", "layers", "said"),
    [
        (PHOTO, [Layers.GlobalAveragePooling2D, lambda: Layers.Dense(10)], "a classifier"),
        (PHOTO, [lambda: Layers.Reshape((-1, 15))], "no map of the photo"),
        ((3, SIDE, SIDE), [lambda: Layers.Conv2D(2, 1)], r"channels first \(NCHW\)"),
        (PHOTO, [lambda: Layers.Permute((3, 1, 2))], r"channels first \(NCHW\)"),
        ((160,), [lambda: Layers.Dense(4)], "no photo, which is"),
        ((SIDE, SIDE, 1), [lambda: Layers.Conv2D(2, 1)], "one photo with three channels"),
    ],
)
def test_what_is_no_segmenter_is_told_why(shape, layers, said):
    with pytest.raises(ValueError, match=rf"^the content: .*{said}"):
        Network(converted(shape, *(make() for make in layers)))


def test_a_file_of_any_size_and_one_of_odd_proportions_are_tried():
    back = Layers.Lambda(lambda x: tf.image.resize(x[:, ::2, ::2], tf.shape(x)[1:3]))
    any_size = Network(converted((None, None, 3), Layers.Conv2D(2, 1), back))
    assert any_size.side == (ways.ANY_SIZE, ways.ANY_SIZE)
    assert any_size(np.zeros((9, 9, 3), np.uint8), Way("-1 to 1")).ids.shape == any_size.side
    wide = Network(converted((20, 40, 3), Layers.Conv2D(2, 1)))
    ids, content = wide(np.zeros((50, 50, 3), np.uint8), Way("-1 to 1"))
    assert ids.shape == (20, 40) and content == (20, 20)


# --- parts ---------------------------------------------------------------------------------------


def test_tables_mean_what_they_say():
    floats = tables(np.float32)
    red = {name: table[[0, 255], 0].tolist() for name, table in floats.items()}
    assert red["-1 to 1"] == [-1, 1] and red["0 to 1"] == [0, 1] and red["0 to 255"] == [0, 255]
    assert red["ImageNet mean and std"] == pytest.approx([-2.1179, 2.2489], abs=1e-4)
    assert red["0 to 255 less the mean"] == pytest.approx([-123.675, 131.325])
    ours = tables(np.uint8, 1 / 127.5, 127)
    assert "-1 to 1" not in ours and ours["bytes as they are (-1 to 1)"][200, 1] == 200
    assert ours["0 to 1"][[0, 255], 0].tolist() == [127, 254 + 1]
    assert "bytes as they are (0 to 1)" in tables(np.uint8, 1 / 255, 0)
    assert tables(np.int8, 1 / 127.5, -1)["bytes less 128 (-1 to 1)"][0, 0] == -128
    assert list(tables(np.uint8)) == ["bytes as they are"]


def test_photos_are_fitted_in_two_ways():
    photo = np.full((30, 60, 3), 9, np.uint8)
    box, content = fit(photo, (40, 40), "letterbox")
    assert content == (20, 40) and (box[:20] == 9).all() and (box[20:] == 127).all()
    box, content = fit(photo, (40, 20), "squeeze")
    assert content == (40, 20) and box.shape == (40, 20, 3) and (box == 9).all()


def test_shared_information_by_hand():
    same, none = np.diag([5, 5]), np.full((2, 2), 3)
    assert shared_information(same) == pytest.approx(1)
    assert shared_information(same[::-1]) == pytest.approx(1)  # names do not matter
    assert shared_information(none) == pytest.approx(0)
    assert shared_information(np.array([[4, 0], [6, 0]])) == 0  # one region tells nothing
    half = np.array(
        [[2, 2, 0], [0, 0, 4], [0, 0, 0]]
    )  # a class cut in two: H = 1 of 1 and 1.5 bits
    assert shared_information(np.stack([half, half])) == pytest.approx([1 / np.sqrt(1.5)] * 2)


def test_counts_know_where_a_mask_lies():
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 20:30] = CAT
    judge = Agreement([labels], voc.CLASSES)
    ids = np.zeros((20, 20), np.uint8)
    ids[7:12, 8:13] = CAT  # half the size, 2 down and 2 left of where it should be
    answer = Answer(ids, (20, 20))
    right = judge.count(0, answer, (80, 80), (8, -8))
    assert judge.score(right[None]) == 1
    assert judge.score(judge.count(0, answer, (80, 80), (0, 0))[None]) < 0.7
    labels[:] = voc.VOID
    labels[0, 0] = 0
    assert Agreement([labels], voc.CLASSES).count(0, answer, (80, 80), (0, 0)).sum() == 1


def test_shipped_pictures_hide_no_side_and_no_class():
    halves = load("phone")
    pictures = shipped_pictures(halves)
    assert len(pictures) == 24 and sum(p.is_wide for p in pictures) == 12
    for start in range(0, 24, 6):
        some = pictures[start : start + 6]
        assert {CAT, 14, 15} <= set(np.concatenate([np.unique(p.labels) for p in some]))
        assert {p.is_wide for p in some} == {True, False}
        assert {p.image.max() < 128 for p in some} == {True, False}  # dark and bright
    assert all(set(np.unique(p.labels)) <= {0, CAT, 14, 15, voc.VOID} for p in pictures)


# --- real files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures():
    return shipped_pictures(load("sharp"))


@pytest.mark.slow
@pytest.mark.parametrize("known", [shipped.PHONE, shipped.SHARP], ids=lambda n: n.name)
def test_ours_are_named_right(known, pictures):
    contract = find_contract(Network(known.file), pictures)
    assert contract.way == ("bytes as they are (-1 to 1)", "RGB", "letterbox")
    assert contract.is_aligned and contract.is_judged and contract.measure == "mIoU"


@pytest.mark.slow
@pytest.mark.parametrize("width", ["", "_dm05"])
def test_googles_are_named_right(width, pictures, shared):
    file = shared / "reference" / f"deeplabv3_mnv2{width}_pascal_quant.tflite"
    contract = find_contract(Network(file), pictures)
    assert contract.way == ("bytes as they are (-1 to 1)", "RGB", "letterbox")
    assert contract.is_aligned and contract.is_judged and contract.measure == "mIoU"


def unsqueezed(size=257, height=145):
    """Layers around a network whose app squeezes frames of 16:9 into the square."""
    before = Layers.Resizing(height, size), Layers.ZeroPadding2D(((0, size - height), (0, 0)))
    return before, (Layers.Cropping2D(((0, size - height), (0, 0))), Layers.Resizing(size, size))


BROKEN = {
    "BGR": (lambda: ([bgr()], []), ("-1 to 1", "BGR", "letterbox"), (0, 0)),
    "0 to 1": (lambda: ([Layers.Rescaling(2, -1)], []), ("0 to 1", "RGB", "letterbox"), (0, 0)),
    "half a feature": (lambda: ([], shifted(8, 8)), ("-1 to 1", "RGB", "letterbox"), (8, 8)),
    "squeezed": (unsqueezed, ("-1 to 1", "RGB", "squeeze"), (0, 0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", BROKEN)
def test_files_broken_on_purpose_are_named_right(fault, pictures):
    """The shipped network behind a wrong door. SPACE_TO_BATCH and floats: test_description."""
    layers, way, offset = BROKEN[fault]
    before, behind = layers()
    image = keras.Input((257, 257, 3), batch_size=1)
    x = image
    for layer in (*before, pretrained.load(257, batch_size=1), *behind):
        x = layer(x)
    content = to_tflite(keras.Model(image, x), "float32")
    contract = find_contract(Network(content), pictures[:12])
    assert contract.way == way and contract.is_judged
    assert contract.offset == pytest.approx(offset, abs=2)
    assert contract.is_aligned == (offset == (0, 0))
