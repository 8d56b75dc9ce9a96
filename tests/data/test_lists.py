"""Lists as people have them: named columns, targets typed by the losses, odd CSVs, and what is refused at its line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from graphc.data.sources import ImageList, Npz
from graphc.data.target_kind import TargetKind
from graphc.data.wanted import ANYTHING, Want, Wanted
from graphc.errors import DataError
from graphc.train.datasets import read_set

LIMIT = 100_000_000
CLASS, MULTI, VALUES = ({TargetKind.CLASS}, {TargetKind.CLASS, TargetKind.MULTI_LABEL}, {TargetKind.VALUES})


def _wanted(known=None, **targets):
    """`label=(kinds, outputs)`."""
    wants = {name: Want(frozenset(kinds), (outputs,)) for name, (kinds, outputs) in targets.items()}
    return Wanted(wants, known or {})


@pytest.fixture
def folder(tmp_path):
    for number in range(4):
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


def _read(folder, text, wanted=ANYTHING, name=None, **settings):
    if not isinstance(text, str):
        text, name = json.dumps(text), name or "a.json"
    (folder / (name or "a.csv")).write_text(text, encoding=settings.pop("encoding", "utf-8"), newline="")
    return ImageList(path=name or "a.csv", size=(8, 8), **settings).load(folder, LIMIT, wanted)


ROWS = [("0.png", "cat"), ("1.png", "dog"), ("2.png", "cat"), ("3.png", "dog")]
PLAIN = "image,label\n" + "".join(f"{image},{label}\n" for image, label in ROWS)

READ_ALIKE = {
    "plain": PLAIN,
    "byte order mark and CRLF": "\ufeff" + PLAIN.replace("\n", "\r\n"),
    "old Mac line ends": PLAIN.replace("\n", "\r"),
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "pipes": PLAIN.replace(",", "|"),
    "spaces": PLAIN.replace(",", " , "),
    "trailing spaces": PLAIN.replace("dog", "dog "),
    "blank lines": PLAIN.replace("\n", "\n\n,\n"),
    "no last line end": PLAIN.rstrip("\n"),
    "quotes": PLAIN.replace("cat", '"cat"').replace("1.png", '"1.png"'),
    "another order": "label,image\n" + "".join(f"{label},{image}\n" for image, label in ROWS),
    "backslash in a folder's place": PLAIN.replace("0.png", "./0.png"),
}


@pytest.mark.parametrize("text", READ_ALIKE.values(), ids=READ_ALIKE)
def test_ways_to_write_one_list(folder, text):
    found = _read(folder, text)
    assert found.classes == ("cat", "dog")
    assert found.targets["label"].tolist() == [0, 1, 0, 1]
    assert found.inputs["image"][np.arange(4)][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert found.notes == ()


@pytest.mark.parametrize("lines", [False, True])
def test_json_lists(folder, lines):
    rows = [{"image": image, "label": label} for image, label in ROWS]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=1)
    found = _read(folder, text, name="a.jsonl" if lines else "a.json")
    assert found.targets["label"].tolist() == [0, 1, 0, 1]


def test_named_columns_and_those_that_nothing_reads(folder):
    text = "id_code;diagnosis;split\n0.png;2;train\n1.png;0;test\n"
    found = _read(folder, text, _wanted(label=(CLASS, 3)), columns={"image": "id_code", "label": "diagnosis"})
    assert found.targets["label"].tolist() == [2, 0]
    assert found.classes == ("0", "1", "2")
    assert found.notes == ("1 column not read: split",)


def test_delimiter(folder):
    found = _read(folder, "image|label\n0.png|a,b\n1.png|c\n", delimiter="|")
    assert found.classes == ("a,b", "c")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_numbers_stay_numbers_for_a_loss_of_values(folder, form):
    values = [3.25, -0.125, 1e-3, 7]
    rows = [{"image": f"{n}.png", "label": value} for n, value in enumerate(values)]
    text = rows if form == "json" else "image,label\n" + "".join(f"{r['image']},{r['label']}\n" for r in rows)
    found = _read(folder, text, _wanted(label=(VALUES, 1)))
    assert found.targets["label"].dtype == np.float64
    assert found.targets["label"].tolist() == values
    assert found.classes == ()


@pytest.mark.parametrize("form", ["csv", "json"])
def test_numbers_are_names_for_a_loss_of_classes(folder, form):
    """JSON's numbers are the same as CSV's digits."""
    rows = [{"image": f"{n}.png", "label": label} for n, label in enumerate([10, 2, 10, 1])]
    text = rows if form == "json" else "image,label\n" + "".join(f"{r['image']},{r['label']}\n" for r in rows)
    found = _read(folder, text, _wanted(label=(CLASS, 3)))
    assert (found.classes, found.targets["label"].tolist()) == (("1", "2", "10"), [2, 1, 2, 0])
    known = _read(folder, text, _wanted({"label": ("10", "2", "1", "0")}, label=(CLASS, 4)))
    assert (known.classes, known.targets["label"].tolist()) == (("10", "2", "1", "0"), [0, 1, 0, 2])


def test_classes_that_are_given_name_numbers_or_count_them(folder):
    text = "image,label\n0.png,1\n1.png,0\n"
    named = _read(folder, text, classes=("none", "mild"))
    assert (named.classes, named.targets["label"].tolist()) == (("none", "mild"), [1, 0])
    with pytest.raises(DataError, match=r"a\.csv:2:1.*expected a class \(10, 20, 30\), found '1'"):
        _read(folder, text, classes=("10", "20", "30"))


def test_several_targets_of_each_kind(folder):
    text = "image,kind,age,x,y,flu,cold,w\n0.png,b,30,1.5,2,1,0,2\n1.png,a,41.5,0,-1,1,1,0.5\n"
    wanted = _wanted(
        kind=(CLASS, 2), age=(VALUES, 1), gaze=(VALUES, 2), findings=(MULTI, 2), weight=(VALUES, 1)
    )  # fmt: skip
    columns = {"gaze": ("x", "y"), "findings": ("flu", "cold"), "weight": ("w",)}
    found = _read(folder, text, wanted, columns=columns)
    assert {name: values.tolist() for name, values in found.targets.items()} == {
        "kind": [1, 0],
        "age": [30, 41.5],
        "gaze": [[1.5, 2], [0, -1]],
        "findings": [[1, 0], [1, 1]],
        "weight": [2, 0.5],
    }
    assert found.target_classes == {"kind": ("a", "b"), "findings": ("flu", "cold")}


MULTI_LABEL = {
    "separator": ("image,label\n0.png,cat|dog\n1.png,\n2.png, eel \n", {"label_separator": "|"}),
    "separators too many": ("image,label\n0.png,|cat||dog|\n1.png,|\n2.png,eel|\n", {"label_separator": "|"}),
    "space": ("image,label\n0.png,cat dog\n1.png,\n2.png,eel\n", {"label_separator": " "}),
    "written as lists": ("image,label\n0.png,\"['cat', 'dog']\"\n1.png,[]\n2.png,['eel']\n", {"label_separator": ","}),
    "names": ([{"image": f"{n}.png", "label": names} for n, names in enumerate([["cat", "dog"], [], ["eel"]])], {}),
    "columns": (
        "image,cat,dog,eel\n0.png,1,1,0\n1.png,0,0.0,false\n2.png,0,0,TRUE\n",
        {"columns": {"label": ("cat", "dog", "eel")}},
    ),
    "zeros and ones": (
        [{"image": f"{n}.png", "label": row} for n, row in enumerate([[1, 1, 0], [0, False, 0], [0, 0, True]])],
        {"classes": ("cat", "dog", "eel")},
    ),
}


@pytest.mark.parametrize(("text", "settings"), MULTI_LABEL.values(), ids=MULTI_LABEL)
def test_several_labels_an_example(folder, text, settings):
    found = _read(folder, text, _wanted(label=(MULTI, 3)), **settings)
    assert found.classes == ("cat", "dog", "eel")
    assert found.targets["label"].tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_several_labels_are_matched_by_name(folder):
    wanted = _wanted({"label": ("eel", "dog", "cat", "fox")}, label=(MULTI, 4))
    found = _read(folder, "image,label\n0.png,cat|dog\n1.png,eel\n", wanted, label_separator="|")
    assert found.targets["label"].tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    with pytest.raises(DataError, match=r"a\.csv:3:1.*expected a class .* found 'ell' \(did you mean 'eel'\?\)"):
        _read(folder, "image,label\n0.png,cat\n1.png,ell\n", wanted, label_separator="|")


@pytest.mark.parametrize("ignore", [-1, 255])
def test_labels_that_do_not_count(folder, ignore):
    want = Want(frozenset(CLASS), (2,), ignore)
    found = _read(folder, f"image,label\n0.png,1\n1.png,{ignore}\n2.png,0\n", Wanted({"label": want}))
    assert (found.classes, found.targets["label"].tolist()) == (("0", "1"), [1, ignore, 0])
    inside = Want(frozenset(CLASS), (2,), 1)  # the index of a class: its name is told as any
    found = _read(folder, "image,label\n0.png,b\n1.png,a\n", Wanted({"label": inside}))
    assert found.targets["label"].tolist() == [1, 0]


def test_more_classes_or_other_labels_than_the_network_has(folder):
    with pytest.raises(DataError, match=r"found 4 classes \(a, b, c, d\), the network tells 3 apart"):
        _read(folder, "image,label\n0.png,a\n1.png,b\n2.png,c\n3.png,d\n", _wanted(label=(CLASS, 3)))
    text = "image,label\n0.png,a|b\n1.png,c\n"
    with pytest.raises(DataError, match=r"found 3 labels \(a, b, c\), the network has 4 outputs: `classes` names all"):
        _read(folder, text, _wanted(label=(MULTI, 4)), label_separator="|")
    found = _read(folder, text, _wanted(label=(MULTI, 4)), label_separator="|", classes=("a", "b", "c", "d"))
    assert found.targets["label"].shape == (2, 4)


def test_shares_of_a_single_output(folder):
    found = _read(folder, "image,label\n0.png,0.25\n1.png,1\n", _wanted(label=(MULTI, 1)))
    assert found.targets["label"].tolist() == [0.25, 1]
    found = _read(folder, "image,label\n0.png,no\n1.png,yes\n", _wanted(label=(MULTI, 1)))
    assert (found.classes, found.targets["label"].tolist()) == (("no", "yes"), [0, 1])


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_image_listed_again_is_a_second_example(folder, form):
    rows = [*ROWS, ("0.png", "dog"), ("0.png", "dog")]
    as_csv = "image,label\n" + "".join(f"{image},{label}\n" for image, label in rows)
    text = as_csv if form == "csv" else [{"image": image, "label": label} for image, label in rows]
    assert _read(folder, text).targets["label"].tolist() == [0, 1, 0, 1, 1, 1]


def test_a_json_image_listed_again_keeps_its_own_boxes(folder):
    rows = [{"image": "0.png", "boxes": [[0, 0, 3, n]], "box_labels": [n]} for n in (2, 5)]
    found = _read(folder, rows)
    assert found.targets["boxes"].tolist() == [[0, 0, 3, 2], [0, 0, 3, 5]]
    assert found.targets["box_label"].tolist() == [0, 1]


BOXES = "image,left,top,right,bottom,box_label,label\n"


def test_an_empty_box_label_shifts_no_other(folder):
    found = _read(folder, BOXES + "0.png,1,1,3,3,,x\n0.png,4,4,8,8,b,x\n1.png,0,0,5,5,a,x\n", _wanted())
    assert found.classes == ("a", "b")
    assert found.targets["box_label"].tolist() == [[-1, 1], [0, -1]]
    assert found.notes == ("1 column not read: label", "1 of 3 boxes have no label (-1)")


def test_boxes_in_columns_of_other_names_with_the_size_in_which_they_were_drawn(folder):
    text = "filename,width,height,class,x1,y1,x2,y2\n0.png,8,6,car,1,2,3,4\n"
    columns = {"image": "filename", "box_label": "class", "left": "x1", "top": "y1", "right": "x2", "bottom": "y2"}
    found = _read(folder, text, _wanted(), columns={key: (value,) for key, value in columns.items()})
    assert found.targets["boxes"].tolist() == [[1, 2, 3, 4]]
    assert found.classes == ("car",)
    assert "points" not in found.targets
    assert found.notes == ()


def test_a_data_set_without_boxes_has_the_shape_that_max_boxes_says(folder):
    found = _read(folder, "image,left,top,right,bottom\n0.png,,,,\n", _wanted(), max_boxes=3)
    assert found.targets["boxes"].shape == (1, 3, 4)
    assert not found.targets["boxes_there"].any()


def test_there_are_as_many_boxes_as_the_network_predicts(folder):
    text = "image,left,top,right,bottom\n0.png,1,2,3,4\n0.png,2,2,3,4\n1.png,,,,\n"
    four = Wanted({"boxes": Want(frozenset(VALUES), (4, 4))})
    assert _read(folder, text, four).targets["boxes"].shape == (2, 4, 4)
    one = Wanted({"boxes": Want(frozenset(VALUES), (4,))})
    with pytest.raises(DataError, match=r"expected at most 1 box in an image, found 2 in 0\.png"):
        _read(folder, text, one)
    assert _read(folder, text.replace("0.png,2,2,3,4\n", ""), one).targets["boxes"].shape == (2, 4)


def test_labels_that_nobody_wants_are_not_read(folder):
    found = _read(folder, "image,label\n0.png,\n1.png,0.5\n", Wanted({}))
    assert not found.targets


REFUSED = {
    "another header": ("id_code,label\n0.png,1\n", {}, r"a\.csv:1:1.*column 'image', found 'id_code,label'"),
    "a typing error": ("imgae,label\n0.png,1\n", {}, r"column 'image' \(did you mean 'imgae'\?\)"),
    "no such column": (PLAIN, {"columns": {"label": ("lable",)}}, r"a\.csv:1:1.*'lable' \(did you mean 'label'\?\)"),
    "no target": ("image,lable\n0.png,1\n", {}, r"expected a column 'label' \(did you mean 'lable'\?\), found image"),
    "json key": ([{"image": "0.png", "lable": 1}], {}, r"a\.json:1:1.*expected a key 'label' \(did you mean 'lable'"),
    "two of a name": ("image,label,label\n0.png,a,b\n", {}, r"a\.csv:1:1.*found 'label' twice"),
    "short line": (PLAIN + "0.png\n", {}, r"a\.csv:6:1.*expected 2 values \(image, label\), found 1"),
    "long line": (PLAIN + "0.png,a,b\n", {}, r"a\.csv:6:1.*found 3; a value that holds ',' stands in quotes"),
    "open quote": (PLAIN + '0.png,"dog\n', {}, r"a\.csv:6:1.*unexpected end of data"),
    "no label": (PLAIN.replace("2.png,cat", "2.png,"), {}, r"a\.csv:4:1.*found it for 3 of 4 examples"),
    "nan": (PLAIN.replace("2.png,cat", "2.png,NaN"), {}, r"a\.csv:4:1.*found it for 3 of 4 examples"),
    "null": ([{"image": "0.png", "label": None}], {}, r"a\.json:1:1.*found it for 0 of 1 example"),
    "case": (PLAIN.replace("3.png,dog", "3.png,Dog"), {}, r"a\.csv:\d:1.*differ in more than case"),
    "unseen": (PLAIN.replace("3.png,dog", "3.png,dog\u200b"), {}, r"that look the same, found 'dog' and 'dog\\u200b'"),
    "wide digits": (PLAIN.replace("3.png,dog", "3.png,\uff11").replace("cat", "1"), {}, "that look the same"),
    "inner spaces": (PLAIN.replace("dog", "hot dog").replace("3.png,hot ", "3.png,hot  "), {}, "more than spaces"),
    "no header": (PLAIN.replace("image,label\n", ""), {}, r"a\.csv:1:1.*\n.*the first line names the columns"),
    "spaces between": (PLAIN.replace(",", " "), {}, r"a\.csv:1:1.*\n.*between values stands one of ','"),
    "fraction": (PLAIN.replace("3.png,dog", "3.png,0.5"), {}, r"a\.csv:5:1.*label: expected the names of classes"),
    "several": (PLAIN.replace("3.png,dog", "3.png,cat dog"), {}, r"a\.csv:5:1.*'cat dog', which is several"),
    "list": ([{"image": "0.png", "label": ["a"]}], {}, r"label: expected one class an example, found a list"),
    "a mapping": ([{"image": "0.png", "label": {"a": 1}}], {}, "expected a name or a number, found a mapping"),
    "a key again": ('[{"image": "0.png", "label": 1, "label": 2}]', {"name": "a.json"}, "the key 'label' stands twice"),
    "no image": ("image,label\n,a\n", {}, r"a\.csv:2:1.*image: expected a path, found ''"),
    "missing": (PLAIN.replace("2.png", "9.png"), {}, r"9\.png: error\[G401\]: there is no file"),
    "all missing": (PLAIN.replace("png", "gif"), {}, r"4 of 4 files are missing"),
    "nothing": ("image,label\n", {}, "found no images"),
    "empty": ("", {}, "column 'image'"),
    "lines": ('{"image": "0.png"}\n', {"name": "a.json"}, r"one mapping a line is \.jsonl"),
    "cut off": ('[{"image": "0.png", "label": "a"},\n', {"name": "a.json"}, r"a\.json:2:1.*end of the file"),
    "more": ('[{"image": "0.png", "label": "a"}]\n]', {"name": "a.json"}, r"a\.json:2:1.*more behind the list"),
    "no comma": ('[{"image": "0.png", "label": 1}\n{}]', {"name": "a.json"}, r"a\.json:2:1.*a comma"),
    "half a box": (BOXES + "0.png,1,2,,4,a,x\n", {}, r"a\.csv:2:1.*box: expected numbers, found ''"),
    "turned box": (BOXES + "0.png,9,9,3,3,a,x\n", {}, r"a\.csv:2:1.*left < right and top < bottom"),
    "shares": (BOXES + "0.png,.1,.1,.5,.5,a,x\n1.png,0,0,1,1,b,x\n", {}, r"a\.csv:2:1.*boxes in pixels, found shares"),
    "no bottom": ("image,label,left,top,right\n0.png,x,1,2,3\n", {}, r"a\.csv:1:1.*expected a column 'bottom'"),
    "labels apart": (BOXES + "0.png,1,1,3,3,a,x\n0.png,2,2,3,3,a,y\n", {}, r"a\.csv:3:1.*label: expected 'x' as in an"),
    "a box again": (BOXES + "0.png,1,1,3,3,a,x\n0.png,1,1,3,3,a,x\n", {}, r"a\.csv:3:1.*found that of line 2 again"),
    "again, no box": (BOXES + "0.png,1,1,3,3,a,x\n0.png,,,,,,x\n", {}, r"a\.csv:3:1.*listed several times"),
    "y without x": ("image,label,x1\n0.png,a,3\n", {}, r"expected a column 'y1'"),
    "half a point": ("image,label,x1,y1\n0.png,a,3,\n", {}, r"a\.csv:2:1.*expected x1 and y1, found only one"),
    "box labels": ([{"image": "0.png", "label": 1, "boxes": [[0, 0, 1, 1]], "box_labels": [1, 2]}], {}, "of 1 boxes"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "settings", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_at_its_line(folder, text, settings, words):
    with pytest.raises(DataError, match=words):
        _read(folder, text, _wanted(label=(CLASS, 2)), **settings)


@pytest.mark.parametrize("value", ["", "x", "1,5", "nan", "inf", "1_000", "true"])
def test_values_are_numbers(folder, value):
    with pytest.raises(DataError, match=r"a\.csv:3:1.*(expected a number, found|found it for 1 of 2)"):
        _read(folder, f'image,label\n0.png,1\n1.png,"{value}"\n', _wanted(label=(VALUES, 1)))


def test_one_target_for_two_kinds_of_losses(folder):
    with pytest.raises(DataError, match="one loss wants numbers to predict, another classes"):
        _read(folder, PLAIN, _wanted(label=(CLASS | VALUES, 2)))


def test_a_text_that_may_be_several_labels_is_asked_about(folder):
    text = "image,label\n0.png,b\n1.png,a|b\n"
    with pytest.raises(DataError, match=r"a\.csv:3:1.*found 'a\|b': `label_separator: '\|'` takes labels apart"):
        _read(folder, text, _wanted(label=(MULTI, 2)))
    assert _read(folder, text, _wanted(label=(MULTI, 2)), classes=("b", "a|b")).targets["label"].tolist() == [0, 1]
    assert _read(folder, text, _wanted(label=(CLASS, 2))).classes == ("a|b", "b")


def test_words_that_may_mean_nothing_are_said(folder):
    found = _read(folder, PLAIN.replace("cat", "N/A"))
    assert found.classes == ("N/A", "dog")
    assert found.notes == ("label: 'N/A' is a value like others (2 examples)",)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [("utf-16", "found UTF-16"), ("utf-16-le", "found UTF-16"), ("latin-1", r"a\.csv:2:1.*text in UTF-8")],
)
def test_encodings(folder, encoding, words):
    with pytest.raises(DataError, match=words):
        _read(folder, PLAIN.replace("cat", "été"), encoding=encoding)


@pytest.mark.parametrize("dtype", [str, "S"])
def test_texts_of_arrays_are_names(tmp_path, dtype):
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=np.array(["dog", "cat", "dog", "eel"]).astype(dtype))
    found = Npz(path="a.npz").load(tmp_path, LIMIT, _wanted(label=(CLASS, 3)))
    assert (found.classes, found.targets["label"].tolist()) == (("cat", "dog", "eel"), [1, 0, 1, 2])
    known = {"label": ("eel", "dog", "cat")}
    assert Npz(path="a.npz").load(tmp_path, LIMIT, _wanted(known, label=(CLASS, 3))).targets["label"][0] == 1
    np.savez(tmp_path / "b.npz", x=np.zeros(2), y=np.array(["1.5", "-2"]))
    values = Npz(path="b.npz").load(tmp_path, LIMIT, _wanted(label=(VALUES, 1)))
    assert values.targets["label"].tolist() == [1.5, -2]
    with pytest.raises(DataError, match=r"a\.npz\[y\].*expected a number, found 'dog' at example 0"):
        Npz(path="a.npz").load(tmp_path, LIMIT, _wanted(label=(VALUES, 1)))
    with pytest.raises(DataError, match="expected numbers, found"):
        Npz(path="a.npz", inputs="y", targets="x").load(tmp_path, LIMIT)


def _array(tmp_path, labels, wanted, **settings):
    np.savez(tmp_path / "a.npz", x=np.zeros((len(labels), 2)), y=labels)
    return read_set(Npz(path="a.npz", **settings), tmp_path, LIMIT, wanted)


def test_whole_numbers_that_are_too_large_for_an_index_stay_what_they_are(tmp_path):
    large = 2**63 + 2**20
    found = _array(tmp_path, np.array([large, 3], np.uint64), _wanted(label=(VALUES, 1)))
    assert found.targets["label"].astype(np.float64).tolist() == [float(large), 3.0]
    assert _array(tmp_path, np.array([1, 0], np.uint64), _wanted(label=(CLASS, 2))).targets["label"].dtype == np.int64


@pytest.mark.parametrize("labels", [np.array([[1], [0], [1]]), np.array([[1.0], [0.0], [1.0]])])
def test_a_column_of_labels_is_labels(tmp_path, labels):
    found = _array(tmp_path, labels, _wanted(label=(CLASS, 2)))
    assert found.targets["label"].tolist() == [1, 0, 1]
    assert _array(tmp_path, labels, _wanted(label=(MULTI, 1))).targets["label"].shape == (3, 1)


def test_labels_beyond_the_names_of_classes(tmp_path):
    with pytest.raises(DataError, match="the index of one of 2 classes, found 2 at example 1") as caught:
        _array(tmp_path, np.array([0, 2]), _wanted(label=(CLASS, 3)), classes=("a", "b"))
    assert caught.value.notes == ("`classes` names all",)
    ignoring = Wanted({"label": Want(frozenset(CLASS), (2,), 255)})
    assert _array(tmp_path, np.array([0, 255]), ignoring, classes=("a", "b")).targets["label"].tolist() == [0, 255]


def test_a_csv_of_many_rows_is_read_in_a_moment(folder):
    count = 20_000
    found = _read(folder, "image,label\n" + "".join(f"{n % 4}.png,{n % 7}\n" for n in range(count)))
    assert np.bincount(found.targets["label"]).tolist() == np.bincount(np.arange(count) % 7).tolist()
