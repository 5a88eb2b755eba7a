"""Findings in a manifest, and on their way through the index, the splits and the cohort's table."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from test_manifest import draw

from synthworth.cohort import class_counts
from synthworth.config import compose
from synthworth.errors import StudyError
from synthworth.external import external_problems
from synthworth.findings import agreed_findings, finding_matrix
from synthworth.ingestion import write_index
from synthworth.inputs import Inputs
from synthworth.manifest import derive_classes, read_index, read_manifest
from synthworth.phantoms import PATTERNS, draw_phantoms, joint_pathology, sample_pathology
from synthworth.specs import Specs
from synthworth.splits import check_findings
from synthworth.study import Study
from synthworth.tables.cohort import table2_classes

HOUSE = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((HOUSE / "config/config.yaml").read_text())
FINDINGS = ["effusion", "edema"]


def manifest(folder, text):
    path = folder / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def study(root=HOUSE, **dataset):
    return Study(compose(DEFAULT, {"study": "mine", "dataset": {"findings": FINDINGS} | dataset}), root)


def test_fields_are_present_absent_or_masked_and_labels_follow(tmp_path):
    path = manifest(
        tmp_path, "image,patient,edema,effusion\na,1,1,0\nb,2,1.0,1.0\nc,3,-1,1\nd,4,-1.0,0.0\ne,5,,\nf,6,0, 1\n"
    )
    absent, uncertain = (read_manifest(path, findings=FINDINGS, unmentioned=said) for said in ("absent", "uncertain"))
    assert absent["edema"].tolist() == ["1", "1", "", "", "0", "0"]
    assert uncertain["edema"].tolist() == ["1", "1", "", "", "", "0"]
    # In the order of the findings, not of the columns.
    labels = ["edema", "effusion+edema", "effusion", "no_finding", "no_finding", "effusion"]
    assert absent["label"].tolist() == uncertain["label"].tolist() == labels
    assert derive_classes(labels) == {
        "edema": "edema",
        "effusion_edema": "effusion+edema",
        "effusion": "effusion",
        "no_finding": "no_finding",
    }
    matrix = finding_matrix(absent, FINDINGS)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix[:4], [[0, 1], [1, 1], [1, np.nan], [0, np.nan]])


def test_a_label_of_ones_own_stays(tmp_path):
    path = manifest(tmp_path, "image,patient,label,effusion,edema\na,1,acute,1,0\n")
    assert read_manifest(path, findings=FINDINGS)["label"].tolist() == ["acute"]


def test_what_is_no_finding_is_named_with_row_column_and_remedy(tmp_path):
    path = manifest(tmp_path, "image,patient,effusion,edema\na,1,yes,0\nb,2,1,2\n")
    with pytest.raises(StudyError, match="manifest.csv") as error:
        read_manifest(path, findings=FINDINGS)
    assert len(error.value.problems) == 2
    for words in ("row 2, column `effusion`: 'yes'", "row 3, column `edema`: '2'", "1 (present), 0 (absent), -1"):
        assert words in str(error.value)
    path = manifest(tmp_path, "image,patient,effusion,edema\na,1,yes,0\nb,2,1,2\nc,3,yes,0\nd,4,no,0\n")
    with pytest.raises(StudyError) as error:
        read_manifest(path, findings=FINDINGS)
    assert [problem.partition(" is none of")[0] for problem in error.value.problems] == [
        "2 rows (2, 4), column `effusion`: 'yes'",
        "row 5, column `effusion`: 'no'",
        "row 3, column `edema`: '2'",
    ]
    path = manifest(tmp_path, "image,patient,Effusion\na,1,1\n")
    with pytest.raises(StudyError) as error:
        read_manifest(path, findings=FINDINGS)
    assert "column `effusion` is missing (rename 'Effusion')" in str(error.value)
    assert "column `edema` is missing (columns found: image, patient, Effusion)" in str(error.value)
    # Without findings a label is needed, as ever.
    with pytest.raises(StudyError, match="column `label` is missing"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"findings": ["age", "edema"]}, "dataset.findings: the column `age` has another meaning"),
        ({"findings": ["sha256"]}, "the column `sha256` has another meaning"),
        ({"findings": ["No Finding"]}, "`No Finding` is no finding but the absence of all others; take it out"),
        ({"folder": "images"}, "dataset.findings: a folder per class says nothing of findings; write a manifest"),
        ({"phantoms": {"patients": {"healthy": 3, "viral": 3}}}, "no phantom patient has `effusion`"),
        (
            {"findings": None, "phantoms": {"patients": {"healthy": 3, "viral": 3}, "uncertain_share": 0.1}},
            "dataset.phantoms.uncertain_share: of which findings?",
        ),
    ],
)
def test_contradictions_are_named(dataset, words):
    with pytest.raises(StudyError) as error:
        study(**dataset)
    assert words in str(error.value)


def test_the_index_has_the_findings_and_pictures_do_not_contradict_themselves(tmp_path):
    for number in range(4):
        draw(tmp_path / f"{number}.png", number)
    draw(tmp_path / "again.png", 0)
    head = "image,patient,effusion,edema\n0.png,1,1.0,-1\n1.png,2,0,1\n2.png,3,,\n3.png,4,1,1\n"
    classes = derive_classes(["effusion", "edema", "no_finding", "effusion+edema"])
    asked = {"classes": classes, "findings": FINDINGS}
    write_index(tmp_path / "index.csv", manifest=manifest(tmp_path, head), unmentioned="uncertain", **asked)
    index = read_index(tmp_path / "index.csv")
    assert index["effusion"].tolist() == ["1", "0", "", "1"]
    assert index["edema"].tolist() == ["", "1", "", "1"]
    assert index["class"].tolist() == ["effusion", "edema", "no_finding", "effusion_edema"]
    # Uncertain here and absent there is no contradiction; certainly present here and absent there is one.
    write_index(tmp_path / "index.csv", manifest=manifest(tmp_path, head + "again.png,5,1,0\n"), **asked)
    with pytest.raises(StudyError) as error:
        write_index(tmp_path / "index.csv", manifest=manifest(tmp_path, head + "again.png,5,0,0\n"), **asked)
    assert "row 6, again.png: the same picture has `effusion` 0 here and 1 in row 2, 0.png" in str(error.value)


def index_of(findings, classes=None, splits=("train", "test")):
    """An index of rows (effusion, edema), each once in every split and of a patient of its own."""
    rows = [
        {"split": split, "patient": f"{split}{place}", "effusion": first, "edema": second}
        | {"class": classes[place] if classes else "a", "image": f"{split}{place}.png"}
        for split in splits
        for place, (first, second) in enumerate(findings)
    ]
    return pd.DataFrame(rows)


def test_a_finding_needs_two_patients_with_it_and_two_without_in_each_split():
    enough = [("1", "1"), ("1", "1"), ("0", "0"), ("0", "0")]
    classes = ["both", "both", "none", "none"]
    check_findings(index_of(enough, classes), FINDINGS)
    index = index_of([*enough[:3], ("", "0")], classes)
    with pytest.raises(StudyError) as error:
        check_findings(index, FINDINGS)
    assert [line.split(",")[0] for line in error.value.problems] == [
        "finding 'effusion': 1 patient in train who surely has it not",
        "finding 'effusion': 1 patient in test who surely has it not",
    ]
    assert "leave the finding out (dataset.findings)" in str(error.value)
    index = index_of([("1", "0"), ("1", "0"), ("0", "0"), ("0", "0")], classes)
    with pytest.raises(StudyError, match="finding 'edema': no patient in train who surely has it"):
        check_findings(index, FINDINGS)


def test_a_class_of_whose_findings_nobody_knows_anything_is_refused():
    index = index_of([("1", "0"), ("0", "1"), ("1", "0"), ("0", "1")], ["mixed", "mixed", "one", "other"])
    with pytest.raises(StudyError, match="class 'mixed': its training images agree on no finding") as error:
        check_findings(index, FINDINGS)
    assert len(error.value.problems) == 1


def test_synthetic_images_have_what_all_certain_training_images_of_their_class_have():
    findings = np.array([[1, 0, 1], [1, np.nan, 0], [np.nan, 0, 1], [0, 1, np.nan]], np.float32)
    agreed = agreed_findings(findings, np.array([0, 0, 0, 2]), 3)
    np.testing.assert_array_equal(agreed, [[1, 0, np.nan], [np.nan] * 3, [0, 1, np.nan]])
    assert agreed.dtype == np.float32


def test_an_external_set_must_tell_of_a_finding():
    own = pd.DataFrame({"sha256": ["x"], "patient": ["z"], "image": ["z.png"], "split": ["train"]})

    def theirs(findings):
        index = index_of(findings, splits=("test",))
        return index.assign(sha256=index["image"]).drop(columns="split")

    # One class is enough, and of a finding that is never there nothing is asked.
    assert list(external_problems(theirs([("1", "0"), ("1", "0"), ("0", ""), ("0", "0")]), own, FINDINGS)) == []
    assert list(external_problems(theirs([("1", "0"), ("0", "0"), ("0", "0")]), own, FINDINGS)) == [
        "finding 'effusion': one patient with it tells nothing of chance; add patients, or make the column -1 in all "
        "rows"
    ]
    (problem,) = external_problems(theirs([("1", "0"), ("1", "")]), own, FINDINGS)
    assert "no finding is there and not (effusion, edema)" in problem


def test_the_cohort_counts_each_finding():
    index = index_of([("1", "0"), ("1", ""), ("0", "0"), ("", "1")], ["a", "a", "b", "b"])
    index.loc[1, "patient"] = "train0"
    counts = class_counts(index, FINDINGS)
    pd.testing.assert_frame_equal(
        counts[counts["finding"].isna()].drop(columns=["finding", "status"]), class_counts(index), check_dtype=False
    )
    found = counts[counts["finding"].notna()].set_index(["finding", "status", "split"])
    assert found.loc[("effusion", "present", "train"), ["images", "percent", "patients"]].tolist() == [2, 50, 1]
    assert found.loc[("edema", "uncertain", "test"), "images"] == 1
    assert found.groupby(["finding", "split"])["images"].sum().tolist() == [4] * 4
    table = table2_classes(counts.fillna({"finding": "", "status": ""}))
    rows = table.frame.set_index(["Class or finding", "Images"])
    assert rows.loc[("class", "a"), "Train"] == "2 (50.00%), 1 patients"
    assert rows.loc[("effusion", "absent"), "Test"] == "1 (25.00%), 1 patients"
    assert list(rows.index[:3]) == [("class", "a"), ("class", "b"), ("class", "all")]
    assert "finding" in table.caption


def test_classes_are_known_before_anything_is_drawn_or_read(tmp_path):
    phantoms = {"patients": {"healthy": 3, "viral": 3, "bacterial": 3, "fungal+bacterial": 3}}
    drawn = study(findings=["bacterial", "fungal"], phantoms=phantoms)
    assert drawn.classes == {
        "no_finding": "no_finding",
        "bacterial": "bacterial",
        "bacterial_fungal": "bacterial+fungal",
    }
    assert study(findings=None, phantoms=phantoms).classes == {
        "healthy": "healthy",
        "viral": "viral",
        "bacterial": "bacterial",
        "fungal_bacterial": "fungal+bacterial",
    }
    manifest(tmp_path, "image,patient,effusion,edema\na,1,1,1\nb,2,1,0\nc,3,-1,\n")
    given = study(tmp_path, manifest="manifest.csv")
    assert given.classes == {"effusion": "effusion", "effusion_edema": "effusion+edema", "no_finding": "no_finding"}


def test_jobs_hang_on_findings_only_where_there_are_some(tmp_path):
    phantoms = {"patients": {"healthy": 3, "viral": 3}}
    wildcards = SimpleNamespace(study="mine", classifier="resnet50", arm="baseline", seed="1")
    plain, multi = study(findings=None, phantoms=phantoms), study(findings=["viral"], phantoms=phantoms)
    jobs = ("draw_phantoms", "inspect_images", "split_patients", "describe_data", "train_classifier")
    for job in (*jobs, "evaluate_classifier", "recognise_images"):
        without, having = (json.loads(getattr(Specs(each), job)(wildcards)) for each in (plain, multi))
        assert "findings" not in without
        assert having["findings"] == ["viral"]
    assert json.loads(Specs(multi).collect_runs(wildcards))["classes"] == ["viral"]
    assert Inputs(plain).recognised(wildcards)["train_index"] == []
    assert Inputs(multi).recognised(wildcards)["train_index"] == "results/{study}/data/train/index.csv"


def test_phantoms_of_several_diseases_have_the_opacities_of_all(tmp_path):
    generator = np.random.default_rng(0)
    bacterial, fungal = (sample_pathology(generator, PATTERNS[name]) for name in ("bacterial", "fungal"))
    both = joint_pathology([bacterial, fungal])
    assert both.opacities == bacterial.opacities + fungal.opacities
    assert both.markings == max(bacterial.markings, fungal.markings)
    assert joint_pathology([fungal]) == fungal
    with pytest.raises(StudyError, match=r"class 'viral\+worms': known are healthy"):
        draw_phantoms(tmp_path / "m.csv", tmp_path, {"viral+worms": 1}, 1)


def test_phantoms_say_of_their_findings_what_the_config_asks(tmp_path):
    patients = {"healthy": 30, "bacterial": 30, "viral": 5, "bacterial+fungal": 30}
    shares = {"uncertain_share": 0.3, "unmentioned_share": 0.5}
    options = {"findings": ["bacterial", "fungal"], "size": 32, "images_per_patient": 1.0}
    draw_phantoms(tmp_path / "m.csv", tmp_path / "images", patients, 1, **options, **shares)
    rows = pd.read_csv(tmp_path / "m.csv", dtype=str, keep_default_na=False)
    fields = rows[["bacterial", "fungal"]].to_numpy()
    shown = np.array([[name in label.split("+") for name in options["findings"]] for label in rows["label"]])
    assert set(rows["label"]) == {"no_finding", "bacterial", "bacterial+fungal"}
    assert set(fields[shown]) == {"1", "-1"}
    assert set(fields[~shown]) == {"0", "", "-1"}
    assert np.mean(fields == "-1") == pytest.approx(0.3, abs=0.1)
    assert np.mean(fields[~shown & (fields != "-1")] == "") == pytest.approx(0.5, abs=0.13)
    # The pictures are those of a study without findings.
    draw_phantoms(tmp_path / "plain.csv", tmp_path / "plain", {"bacterial": 2}, 1, size=32, images_per_patient=1.0)
    for number in range(2):
        name = f"bacterial-{number:04d}-1.png"
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "images" / name).read_bytes()
    assert pd.read_csv(tmp_path / "plain.csv")["label"].tolist() == ["bacterial"] * 2
