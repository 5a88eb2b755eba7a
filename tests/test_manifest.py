import subprocess
import sys
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_images import SECRET, write_dicom

from synthworth.errors import StudyError
from synthworth.ingestion import inspect_images, write_images, write_index
from synthworth.manifest import derive_classes, list_folder, read_index, read_manifest

CLASSES = {"healthy": "healthy", "viral": "viral pneumonia"}


def draw(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 255, (6, 6), np.uint8)
    Image.fromarray(cv2.resize(noise, (48, 40))).save(path)
    return path


def write_manifest(folder, *rows, header="image,patient,label", encoding="utf-8"):
    """A manifest whose images, where their names say so, are drawn."""
    path = folder / "manifest.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return path


def problems_of(folder, *rows, header="image,patient,label", draw_images=True):
    """The problems of a manifest with two sound rows (lines 2 and 3) and those given (from line 4)."""
    sound = ["sound1.png,s1,healthy", "sound2.png,s2,viral pneumonia"]
    extra = header.count(",") - 2
    sound = [row + ",train" * extra for row in sound]
    names = {row.split(",")[0] for row in [*sound, *rows]}
    for number, name in enumerate(sorted(names)):
        if draw_images and name.endswith(".png") and ".." not in name and not (folder / name).exists():
            draw(folder / name, number)
    manifest = write_manifest(folder, *sound, *rows, header=header)
    with pytest.raises(StudyError) as error:
        inspect_images(read_manifest(manifest), folder, CLASSES)
    return error.value.problems


def structure_problem(path):
    with pytest.raises(StudyError) as error:
        read_manifest(path)
    return str(error.value)


# The structure of a manifest


def test_manifest_with_a_byte_order_mark_and_spaces(tmp_path):
    path = write_manifest(
        tmp_path,
        " a.png , p1,healthy  ",
        "",
        '"b,c.png", 007 ,"NA"',
        header="image, patient ,label",
        encoding="utf-8-sig",
    )
    frame = read_manifest(path)
    assert frame.to_dict("list") == {
        "image": ["a.png", "b,c.png"],
        "patient": ["p1", "007"],
        "label": ["healthy", "NA"],
        "row": [2, 4],
    }


def test_rows_are_lines_also_after_a_field_of_two_lines(tmp_path):
    path = write_manifest(
        tmp_path, 'a.png,p1,healthy,"two\nlines\u2028"', "b.png,p2,healthy,", header="image,patient,label,text"
    )
    frame = read_manifest(path)
    assert frame["row"].tolist() == [2, 4]
    assert frame["text"].tolist() == ["two\nlines", ""]


def test_missing_manifest(tmp_path):
    message = structure_problem(tmp_path / "none.csv")
    assert "none.csv" in message
    assert "dataset.manifest" in message
    assert "image,patient,label" in message


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_wrong_delimiter(tmp_path, mark, name):
    path = write_manifest(tmp_path, mark.join(["a.png", "p", "x"]), header=mark.join(["image", "patient", "label"]))
    message = structure_problem(path)
    assert "manifest.csv" in message
    assert f"separated by {name}, not by commas; save it" in message


def test_missing_column(tmp_path):
    message = structure_problem(write_manifest(tmp_path, "a.png,p1,x", header="image,Patient,diagnosis"))
    assert "column `patient` is missing (rename 'Patient')" in message
    assert "column `label` is missing (columns found: image, Patient, diagnosis)" in message
    assert "images/0001.png,p001,healthy" in message


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("image,patient,label,", "column 4 has no name; name it"),
        ("image,patient,label,label", "column `label` stands there twice; delete"),
        ("image,patient,label,sha256", "column `sha256` has a name that the study uses itself; rename"),
    ],
)
def test_columns_that_cannot_be_kept(tmp_path, header, problem):
    assert problem in structure_problem(write_manifest(tmp_path, "a.png,p1,x,", header=header))


def test_rows_of_another_length_are_all_listed(tmp_path):
    message = structure_problem(write_manifest(tmp_path, "a.png,p1,x", "b.png,p2,x,old, ill", "c.png,p3"))
    assert "row 3: 5 fields, but the header has 3; put" in message
    assert "row 4: 2 fields" in message
    assert "row 2" not in message
    assert "2 rows (2, 3): 4 fields" in structure_problem(write_manifest(tmp_path, *["a.png,p1,x,old"] * 2))


def test_empty_manifest_open_quote_and_no_text(tmp_path):
    assert "lists no images" in structure_problem(write_manifest(tmp_path))
    (tmp_path / "manifest.csv").write_text("")
    assert "the file is empty" in structure_problem(tmp_path / "manifest.csv")
    assert "row 3: " in structure_problem(write_manifest(tmp_path, "a.png,p1,x", 'b.png,p2,"x'))
    assert "no UTF-8 text; in a spreadsheet" in structure_problem(write_manifest(tmp_path, "ä,p,x", encoding="latin-1"))


def test_parsing_the_snakefile_needs_no_image_library():
    code = "import sys, synthworth.manifest; print([m for m in ('PIL', 'pydicom', 'cv2', 'torch') if m in sys.modules])"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# Folders and classes


def test_folder_per_class(tmp_path):
    for name in ("viral/b.png", "viral/a.png", "healthy/a.png", ".hidden/x.png", "healthy/.DS_Store"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    frame = list_folder(tmp_path)
    assert frame["image"].tolist() == ["healthy/a.png", "viral/a.png", "viral/b.png"]
    assert frame["patient"].tolist() == ["healthy/a", "viral/a", "viral/b"]
    assert frame["label"].tolist() == ["healthy", "viral", "viral"]


def test_folders_of_patients_within_a_class_need_a_manifest(tmp_path):
    (tmp_path / "viral" / "p1").mkdir(parents=True)
    (tmp_path / "viral" / "p1" / "a.png").write_bytes(b"")
    with pytest.raises(StudyError, match="viral/p1: images lie deeper .* only a manifest can say"):
        list_folder(tmp_path)


def test_non_image_files_in_a_folder_are_problems(tmp_path):
    draw(tmp_path / "healthy/a.png")
    (tmp_path / "healthy/Thumbs.db").write_text("no picture")
    with pytest.raises(StudyError) as error:
        inspect_images(list_folder(tmp_path), tmp_path, {"healthy": "healthy"})
    (problem,) = error.value.problems
    assert problem.startswith("healthy/Thumbs.db: no image")
    assert "remove the file" in problem


def test_folders_that_are_not_one_per_class(tmp_path):
    with pytest.raises(StudyError, match="make a sub-folder per class"):
        list_folder(tmp_path)
    draw(tmp_path / "stray.png")
    (tmp_path / "empty").mkdir()
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (tmp_path / "linked").symlink_to(elsewhere)
    with pytest.raises(StudyError) as error:
        list_folder(tmp_path)
    text = "\n".join(error.value.problems)
    assert "stray.png: lies in no class's sub-folder; move it" in text
    assert "empty: an empty folder; put" in text
    assert "linked: a link to a folder is not followed; copy" in text
    with pytest.raises(StudyError, match=r"dataset\.folder"):
        list_folder(tmp_path / "none")


def test_classes_from_labels():
    labels = ["viral pneumonia", "", "COVID-19", "viral pneumonia", "Lungenentzündung (pilz)", "v1.2"]
    assert derive_classes(labels) == {
        "viral_pneumonia": "viral pneumonia",
        "COVID-19": "COVID-19",
        "Lungenentzündung_pilz": "Lungenentzündung (pilz)",
        "v1.2": "v1.2",
    }


def test_labels_that_give_no_name_or_the_same_name():
    with pytest.raises(StudyError) as error:
        derive_classes(["a b", "a/b", "viral", "Viral", "+++", "all"])
    assert len(error.value.problems) == 4
    assert "labels 'a b' and 'a/b' give the same class name; spell them alike, or name" in error.value.problems[0]
    assert "labels 'viral' and 'Viral'" in error.value.problems[1]


# Images: what is wrong


def test_missing_file(tmp_path):
    (problem,) = problems_of(tmp_path, "gone.dcm,p,healthy")
    assert problem == "row 4, gone.dcm: there is no such file; correct the path, or remove the row"


def test_truncated_file(tmp_path):
    path = draw(tmp_path / "cut.png")
    path.write_bytes(path.read_bytes()[:400])
    (problem,) = problems_of(tmp_path, "cut.png,p,healthy")
    assert problem.startswith("row 4, cut.png: truncated or damaged file")
    assert "; copy it again" in problem


def test_non_image_file(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    (problem,) = problems_of(tmp_path, "notes.txt,p,healthy")
    assert problem.startswith("row 4, notes.txt: no image that can be read; give PNG")


def test_nan_image(tmp_path):
    pixels = np.random.default_rng(0).random((20, 20), np.float32)
    pixels[0, 0] = np.nan
    cv2.imwrite(str(tmp_path / "nan.tif"), pixels)
    (problem,) = problems_of(tmp_path, "nan.tif,p,healthy")
    assert problem.startswith("row 4, nan.tif: pixels that are NaN or infinite; export")


def test_black_image(tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "black.png")
    (problem,) = problems_of(tmp_path, "black.png,p,healthy")
    assert problem.startswith("row 4, black.png: constant image")
    assert "; export it again" in problem


def test_one_pixel_image(tmp_path):
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    (problem,) = problems_of(tmp_path, "dot.png,p,healthy")
    assert problem.startswith("row 4, dot.png: only 1 x 1 pixels; give")


def test_empty_fields(tmp_path):
    assert problems_of(tmp_path, "a.png,p,")[0].startswith("row 4, a.png: empty label; write one of healthy, viral")
    assert problems_of(tmp_path, "a.png,,healthy")[0].startswith("row 4, a.png: empty patient; ")
    assert problems_of(tmp_path, ",p,healthy") == ["row 4, (no path): empty image path; fill it in, or remove the row"]


def test_label_that_is_not_in_the_config(tmp_path):
    (problem,) = problems_of(tmp_path, "a.png,p,helthy")
    assert problem.startswith("row 4, a.png: label 'helthy' is not in the config (did you mean 'healthy'?); correct it")


def test_a_label_that_is_not_in_the_config_is_one_problem_of_all_its_rows(tmp_path):
    labels = ["bacterial", "helthy", "bacterial", "helthy", "bacterial", "bacterial"]
    first, second = problems_of(tmp_path, *[f"{row}.png,p{row},{label}" for row, label in enumerate(labels, start=4)])
    remedy = "correct it, or add it to `dataset.classes`; leave rows of labels that are not to be studied out of the"
    known = "the classes' labels are healthy, viral pneumonia"
    assert first == f"4 rows (4, 6, 8, …): label 'bacterial' is not in the config ({known}); {remedy} manifest"
    assert second == f"2 rows (5, 7): label 'helthy' is not in the config (did you mean 'healthy'?); {remedy} manifest"


def test_a_label_of_a_folder_that_is_not_in_the_config_is_one_problem_of_all_its_images(tmp_path):
    for number in range(4):
        draw(tmp_path / f"bacterial/{number}.png", number)
    draw(tmp_path / "healthy/a.png", 9)
    with pytest.raises(StudyError) as error:
        inspect_images(list_folder(tmp_path), tmp_path, {"healthy": "healthy"})
    (problem,) = error.value.problems
    assert problem.startswith(
        "4 images (bacterial/0.png, bacterial/1.png, bacterial/2.png, …): label 'bacterial' is not"
    )
    assert problem.endswith("; leave images of labels that are not to be studied out of the folder")


def test_a_fault_of_many_files_is_a_problem_of_each(tmp_path):
    problems = problems_of(tmp_path, "a.dcm,p,healthy", "b.dcm,q,healthy")
    assert [problem.split(":")[0] for problem in problems] == ["row 4, a.dcm", "row 5, b.dcm"]


@pytest.mark.parametrize("image", ["../outside.png", "sub/../../outside.png", "/etc/hostname", "C:\\scans\\a.png"])
def test_path_that_climbs_out(tmp_path, image):
    study = tmp_path / "study"
    (study / "sub").mkdir(parents=True)
    draw(tmp_path / "outside.png")
    (problem,) = problems_of(study, f"{image},p,healthy")
    assert problem.startswith(f"row 4, {image}: ")
    assert "outside of the manifest's folder; move" in problem or "an absolute path; give it relative" in problem


def test_link_that_leads_out(tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    (study / "link.png").symlink_to(draw(tmp_path / "outside.png"))
    (problem,) = problems_of(study, "link.png,p,healthy", draw_images=True)
    assert problem.startswith("row 4, link.png: the path (or what it links to) is outside")


def test_folder_as_image_and_backslashes(tmp_path):
    (tmp_path / "sub").mkdir()
    draw(tmp_path / "sub/a.png")
    first, second = problems_of(tmp_path, "sub,p,healthy", "sub\\a.dcm,p,healthy")
    assert first == "row 4, sub: a folder, not a file; give a row to each of its images"
    assert second == "row 5, sub\\a.dcm: there is no such file; write / between folders"


def test_duplicate_rows(tmp_path):
    (problem,) = problems_of(tmp_path, "a.png,p,healthy", "./a.png,p,healthy")
    assert problem == "row 5, ./a.png: the image stands already in row 4, a.png; remove one of the rows"


def test_one_image_with_two_labels(tmp_path):
    (problem,) = problems_of(tmp_path, "a.png,p,healthy", "a.png,p,viral pneumonia")
    assert "row 5, a.png: the image stands with two labels, 'healthy' and 'viral pneumonia' in row 4" in problem


def test_copies_of_a_file_under_two_labels(tmp_path):
    draw(tmp_path / "a.png", 77)
    draw(tmp_path / "b.png", 77)
    (problem,) = problems_of(tmp_path, "a.png,p,healthy", "b.png,q,viral pneumonia")
    assert problem == (
        "row 5, b.png: the same picture is labelled 'viral pneumonia' here and 'healthy' in row 4, a.png; "
        "keep the row whose label is right"
    )


def test_split_column(tmp_path):
    problems = problems_of(
        tmp_path, "a.png,p,healthy,train", "b.png,p,healthy,test", "c.png,q,healthy,", "d.png,r,healthy,valid",
        header="image,patient,label,split",
    )  # fmt: skip
    assert problems == [
        "row 5, b.png: patient 'p' is in split 'test' here and in 'train' in row 4, a.png; "
        "put all images of a patient into one split",
        "row 6, c.png: empty split, while other rows have one; fill the column in all rows, or delete it",
        "row 7, d.png: unknown split 'valid'; write one of train, select, test, or delete the column",
    ]


def test_an_unknown_split_is_one_problem_of_all_its_rows(tmp_path):
    rows = [f"{number}.png,p{number},healthy,{split}" for number, split in enumerate(["val"] * 4 + ["valid"])]
    assert problems_of(tmp_path, *rows, header="image,patient,label,split") == [
        "4 rows (4, 5, 6, …): unknown split 'val'; write one of train, select, test, or delete the column",
        "row 8, 4.png: unknown split 'valid'; write one of train, select, test, or delete the column",
    ]


def test_all_problems_come_in_one_message_in_the_order_of_rows(tmp_path):
    Image.new("L", (20, 20)).save(tmp_path / "black.png")
    (tmp_path / "notes.txt").write_text("no picture")
    problems = problems_of(
        tmp_path, "black.png,,healthy", "gone.dcm,p,helthy", "notes.txt,p,", "../x.png,p,healthy", "a.png,p,healthy",
        "a.png,p,viral pneumonia",
    )  # fmt: skip
    assert [problem.split(",")[0] for problem in problems] == [f"row {row}" for row in (4, 4, 5, 5, 6, 6, 7, 9)]


# Images: what is right


def test_index_of_sound_images(tmp_path):
    names = ["ein ordner/Aufnahme ü 1.png", "影像/二.png", "plain.png"]
    for number, name in enumerate(names):
        draw(tmp_path / name, number)
    write_dicom(tmp_path / "scan.dcm", np.arange(2400, dtype=np.uint16).reshape(40, 60))
    rows = [f"{name},00{number},viral pneumonia,PA,{number}," for number, name in enumerate(names)]
    manifest = write_manifest(
        tmp_path, *rows, "scan.dcm,009,healthy,AP,NA,", header="image,patient,label,view,age,split"
    )
    write_index(tmp_path / "out/index.csv", CLASSES, manifest=manifest, threads=2)
    index = read_index(tmp_path / "out/index.csv")
    assert list(index) == [
        "image", "patient", "label", "class", "view", "age", "sha256", "hash", "width", "height",
    ]  # fmt: skip
    assert index["image"].tolist() == [*names, "scan.dcm"]
    assert index["patient"].tolist() == ["000", "001", "002", "009"]
    assert index["class"].tolist() == ["viral", "viral", "viral", "healthy"]
    assert index["age"].tolist() == ["0", "1", "2", "NA"]
    assert index["width"].tolist() == [48, 48, 48, 60]
    assert index["height"].tolist() == [40, 40, 40, 40]
    assert index["hash"].str.len().eq(64).all()
    assert not list((tmp_path / "out").glob(".*"))
    assert SECRET not in (tmp_path / "out/index.csv").read_text(encoding="utf-8")


def test_accents_in_either_unicode_form(tmp_path):
    draw(tmp_path / unicodedata.normalize("NFD", "für.png"))
    manifest = write_manifest(tmp_path, unicodedata.normalize("NFC", "für.png") + ",p,healthy")
    assert len(inspect_images(read_manifest(manifest), tmp_path, {"healthy": "healthy"})) == 1


def test_a_class_without_images(tmp_path):
    draw(tmp_path / "a.png")
    manifest = write_manifest(tmp_path, "a.png,p,healthy")
    with pytest.raises(StudyError, match=r"no image has the label 'viral pneumonia'; take it out of `dataset.classes`"):
        inspect_images(read_manifest(manifest), tmp_path, CLASSES)


def test_index_of_a_folder(tmp_path):
    draw(tmp_path / "data/healthy/a.png", 1)
    draw(tmp_path / "data/viral pneumonia/b.png", 2)
    write_index(tmp_path / "index.csv", CLASSES, folder=tmp_path / "data")
    assert read_index(tmp_path / "index.csv")["class"].tolist() == ["healthy", "viral"]


def indexed(folder, numbers):
    """A manifest, its images drawn by numbers, and its index."""
    for number in numbers:
        draw(folder / f"{number}.png", number)
    manifest = write_manifest(folder, *[f"{number}.png,p{number},healthy" for number in numbers])
    write_index(folder / "index.csv", {"healthy": "healthy"}, manifest=manifest)
    return manifest, folder / "index.csv"


def test_images_as_one_array(tmp_path):
    manifest, index = indexed(tmp_path, range(3))
    write_images(index, tmp_path / "out/images-16.npy", size=16, channels=3, fit="pad", manifest=manifest, threads=2)
    images = np.load(tmp_path / "out/images-16.npy")
    assert images.shape == (3, 16, 16, 3)
    assert images.dtype == np.uint8
    read_index(index)[::-1].to_csv(tmp_path / "reverse.csv", index=False)
    write_images(tmp_path / "reverse.csv", tmp_path / "b.npy", size=16, channels=3, fit="pad", folder=tmp_path)
    assert np.array_equal(np.load(tmp_path / "b.npy"), images[::-1])
    assert len({image.tobytes() for image in images}) == 3


def test_files_that_have_changed_are_refused(tmp_path):
    manifest, index = indexed(tmp_path, range(2))
    draw(tmp_path / "0.png", 3)
    (tmp_path / "1.png").unlink()
    with pytest.raises(StudyError) as error:
        write_images(index, tmp_path / "images.npy", size=16, channels=1, fit="pad", manifest=manifest)
    first, second = error.value.problems
    assert first.startswith("0.png: the file has changed since it was inspected; restore it")
    assert second.startswith("1.png: there is no such file")
    assert not list(tmp_path.glob("*.npy"))
    assert not list(tmp_path.glob(".incomplete*"))


def test_real_films():
    folder = Path(__file__).parents[2] / "shared/data/cxr4"
    if not folder.is_dir():
        pytest.skip("the real X-rays are not here")
    frame = read_manifest(folder / "manifest.csv")
    assert len(frame) == 468
    classes = derive_classes(frame["label"])
    some = inspect_images(frame[::20], folder, classes, threads=2)
    assert len(some) == 24
    assert some[["width", "height"]].max().max() == 512
    assert isinstance(some, pd.DataFrame)
