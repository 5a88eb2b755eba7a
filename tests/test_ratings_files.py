"""Readers' files: what is refused, with file, row, item, value and remedy, and what they are joined to."""

import numpy as np
import pandas as pd
import pytest
from readers import joined, make_key, read

from synthworth.cells import read_scores
from synthworth.errors import StudyError
from synthworth.rating_kit.seal import seal
from synthworth.ratings.exports import rated_modes, read_export
from synthworth.ratings.joining import join_ratings, write_rows
from synthworth.ratings.keys import read_keys

KEY = make_key(images=3, real=2, repeats=2)
KIT = KEY["kit"].iloc[0]


def lines(reader="A", key=KEY, **changes):
    """A reader's file in lines, the header first, with fields of some rows (`r2`: the first) changed."""
    frame = read(key, reader)
    for name, fields in changes.items():
        for column, value in fields.items():
            frame[column] = frame[column].astype(object)
            frame.loc[int(name[1:]) - 2, column] = value
    return frame.to_csv(index=False).splitlines()


def problems(tmp_path, *files, keys=(KEY,)):
    """The problems of files, given as lines or as bytes, named a.csv, b.csv, ..."""
    paths = []
    for letter, content in zip("abc", files, strict=False):
        path = tmp_path / f"{letter}.csv"
        path.write_bytes(content if isinstance(content, bytes) else "\n".join(content).encode())
        paths.append(path)
    with pytest.raises(StudyError) as caught:
        join_ratings([read_export(path) for path in paths], {key["kit"].iloc[0]: key for key in keys})
    return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"r2": {"quality": 6}}, "a.csv, row 2, item 001: quality '6' is no whole number from 1 to 5; correct it"),
        ({"r3": {"quality": 0}}, "a.csv, row 3, item 002: quality '0' is no whole number from 1 to 5"),
        ({"r3": {"plausibility": 4}}, "row 3, item 002: plausibility '4' is no whole number from 1 to 3"),
        ({"r3": {"quality": "2.5"}}, "quality '2.5' is no whole number"),
        ({"r3": {"quality": "3,0"}}, "quality '3,0' is no whole number"),
        ({"r3": {"quality": "good"}}, "quality 'good' is no whole number"),
        ({"r3": {"quality": "nan"}}, "quality 'nan' is no whole number"),
        ({"r3": {"quality": "1e0"}}, "quality '1e0' is no whole number"),
        ({"r3": {"quality": "03.Jan"}}, "quality '03.Jan' is no whole number"),
        ({"r3": {"item": "099"}}, f"row 3, item 099: kit {KIT} has no such item (it has 001 to 018); correct it, or"),
        ({"r3": {"item": ""}}, "row 3, item : kit"),
        ({"r3": {"reader": ""}}, "row 3, item 002: no reader; write the reader's name"),
        ({"r3": {"item": "001"}}, "row 3, item 001: reader 'A' rated it in row 2 too, with other scores; delete one"),
        ({"r4": {"seconds": "3,5"}}, "row 4, item 003: seconds '3,5' is no number"),
        ({"r4": {"reader": "a"}}, "a.csv: readers 'A' and 'a': one or two?"),
        ({"r4": {"kit": "abc"}}, f"a.csv, row 4: of kit 'abc' (single) the study has no key, only of {KIT} (single);"),
        ({"r4": {"mode": "pair"}}, f"row 4: mode 'pair', but kit {KIT} is of mode 'single'; give the file as"),
    ],
)
def test_what_is_wrong_in_a_row_is_named_with_its_place(tmp_path, changes, expected):
    # Scores far enough apart that a row is not by chance the same as another.
    found = problems(tmp_path, lines(**{"r2": {"quality": 5}, "r3": {"quality": 1}, **changes}))
    relevant = [problem for problem in found if expected in problem]
    assert len(relevant) == 1, found
    assert len(found) == 1, found


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([line.replace(",", ";") for line in lines()], "a.csv: its columns are separated by semicolons, not by commas"),
        ([line.replace(",", "\t") for line in lines()], "a.csv: its columns are separated by tabs"),
        ([], "a.csv: the file is empty"),
        (lines()[:1], "a.csv: it holds no rating"),
        (
            ["kit,mode,item,quality", "x,single,001,3"],
            "a.csv: missing columns: reader (found: kit, mode, item, quality)",
        ),
        (
            [line.rsplit(",", 2)[0] for line in lines()],
            "a.csv: missing columns: plausibility, which a kit of mode single",
        ),
        (["kit,mode,reader,item,item", "k,single,A,001,001"], "a.csv: column `item` stands there twice"),
        ([*lines()[:4], f"{KIT},single,A,004,3,0,2,4.0"], "a.csv, row 5: 8 fields, but the header has 7"),
        ([*lines()[:4], f"{KIT},single,A,004"], "a.csv, row 5: 4 fields, but the header has 7"),
        ([*lines()[:4], f'{KIT},single,"A,004,3,2,1'], "a.csv: row 5: unexpected end of data; check the double quotes"),
        ("\n".join(lines()).encode("utf-16"), "a.csv: the file is no UTF-8 text"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, content, expected):
    found = problems(tmp_path, content)
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_all_problems_of_all_files_come_at_once(tmp_path):
    wrong = [lines(r2={"quality": 7}, r3={"plausibility": 9, "quality": 9}), lines("B", r5={"item": "x"}), [""]]
    assert len(problems(tmp_path, *wrong)) == 5


def test_one_export_given_twice(tmp_path):
    (problem,) = problems(tmp_path, lines(), lines())
    assert problem == (
        f"a.csv and b.csv: reader 'A' rated 18 items of kit {KIT} in both, with the same scores; take one of the files "
        "out of assessment.ratings"
    )


def test_an_earlier_and_a_later_export_of_a_reader(tmp_path):
    (problem,) = problems(tmp_path, lines(r2={"quality": 1})[:10], lines(r2={"quality": 5}))
    assert problem == (
        f"a.csv and b.csv: reader 'A' rated 9 items of kit {KIT} in both, 1 of them with other scores (9 and 18 items "
        "in all): an earlier and a later export? Keep the later one (b.csv has more), and take the other out of "
        "assessment.ratings"
    )


def test_files_that_share_no_item_are_halves_of_one_kit(tmp_path):
    whole = read(KEY, "A")
    pd.testing.assert_frame_equal(joined(whole, keys=[KEY]), joined(whole[:7], whole[7:], keys=[KEY]))


@pytest.mark.parametrize(
    "save",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: "\n".join(
            ",".join(f'"{field}"' for field in line.split(",")) for line in text.splitlines()
        ).encode(),
        lambda text: "\n".join(f"{line},," for line in text.splitlines()).encode(),
        lambda text: text.replace(",0", ",").encode(),
        lambda text: "\n".join(
            f"{line[:24]}{line[24:].replace(',1,', ',1.0,')}" for line in text.splitlines()
        ).encode(),
    ],
    ids=["byte order mark", "Windows", "quotes", "empty columns", "items without zeros", "decimal points"],
)
def test_harmless_traces_of_spreadsheet_programs_change_nothing(tmp_path, save):
    text = read(KEY, "A").drop(columns="seconds").to_csv(index=False)
    saved = save(text)
    assert saved != text.encode()
    for name, content in (("a", text.encode()), ("b", saved)):
        (tmp_path / f"{name}.csv").write_bytes(content)
    rows = [join_ratings([read_export(tmp_path / f"{name}.csv")], {KIT: KEY}) for name in "ab"]
    pd.testing.assert_frame_equal(*rows)


def test_a_row_for_each_score_that_was_asked_for():
    frame = read(KEY, "A").astype({"quality": object}).drop(index=[4, 9])
    frame.loc[0, "quality"] = ""
    rows = joined(frame, keys=[KEY])
    assert len(rows) == 2 * KEY["item"].nunique()
    missing = rows[rows["value"].isna()]
    assert sorted(zip(missing["score"], missing["item"], strict=True)) == [
        ("plausibility", "005"),
        ("plausibility", "010"),
        ("quality", "001"),
        ("quality", "005"),
        ("quality", "010"),
    ]
    one = rows[(rows["score"] == "plausibility") & (rows["item"] == "003")].iloc[0]
    key = KEY.set_index("item").loc["003"]
    assert list(one[["source", "class", "identity", "file"]]) == list(key[["source", "class", "identity", "file"]])
    assert one["value"] == frame.set_index("item").loc["003", "plausibility"]
    assert one["seconds"] == float(frame.set_index("item").loc["003", "seconds"])
    assert list(rows[rows["repeats"] != ""]["item"].unique()) == ["017", "018"]


def test_preferences_are_for_the_real_image_whichever_side_it_was_on():
    key = make_key("pair", images=4, repeats=3)
    sides = key[key["source"] == "real"].set_index("item")["side"]
    assert set(sides) == {"left", "right"}
    frame = read(key, "A").assign(preference=2)
    rows = joined(frame, keys=[key]).set_index("item")
    assert len(rows) == 19
    assert list(rows["value"]) == [2.0 if sides[item] == "right" else -2.0 for item in rows.index]
    real = key[key["source"] == "real"].set_index("item")
    assert list(rows["against"]) == list(real.loc[rows.index, "identity"])
    assert "real" not in set(rows["source"])


def test_kits_of_several_modes_come_together():
    pair, prompt = make_key("pair"), make_key("prompt")
    frames = [read(key, "A") for key in (KEY, pair, prompt)]
    rows = joined(*frames, keys=[KEY, pair, prompt])
    assert list(rows.groupby("score", sort=False)["mode"].first().items()) == [
        ("quality", "single"),
        ("plausibility", "single"),
        ("preference", "pair"),
        ("agreement", "prompt"),
    ]


def test_the_modes_of_files_are_seen_before_they_are_checked(tmp_path):
    for name, key in (("a", make_key("prompt")), ("b", KEY)):
        read(key).to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "c.csv").write_text("kit;mode\nx;pair\n")
    assert rated_modes(tmp_path / f"{name}.csv" for name in "abc") == ["single", "prompt"]


def test_sealed_keys_are_opened_with_the_passphrase(tmp_path):
    (tmp_path / "key.sealed").write_text(seal(KEY, "open sesame"))
    other = make_key("pair")
    other.to_csv(tmp_path / "key.csv", index=False)
    keys = read_keys([tmp_path / "key.csv"], [tmp_path / "key.sealed"], "open sesame")
    assert list(keys) == [other["kit"].iloc[0], KIT]
    pd.testing.assert_frame_equal(keys[other["kit"].iloc[0]], other)
    pd.testing.assert_frame_equal(keys[KIT], KEY)
    with pytest.raises(StudyError, match="cannot be opened"):
        read_keys([], [tmp_path / "key.sealed"], "open")


def test_rows_are_written_and_read_back(tmp_path):
    KEY.to_csv(tmp_path / "key.csv", index=False)
    read(KEY, "A").to_csv(tmp_path / "a.csv", index=False)
    write_rows([tmp_path / "a.csv"], [tmp_path / "key.csv"], [], tmp_path / "rows.csv", passphrase="")
    rows = read_scores(tmp_path / "rows.csv")
    pd.testing.assert_frame_equal(rows, joined(read(KEY, "A"), keys=[KEY]), check_dtype=False)
    assert rows["item"].iloc[0] == "001"
    assert np.isfinite(rows["value"]).all()
