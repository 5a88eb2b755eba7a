import numpy as np
import pandas as pd
import pytest

from synthworth.duplicates import near_duplicates
from synthworth.errors import StudyError
from synthworth.splits import (
    check_sizes,
    split_fold,
    split_patients,
    write_splits,
)

HONEST = {"train": 0.6, "select": 0.2, "test": 0.2}
PAPER = {"train": 0.8, "test": 0.2}
NO_PAIRS = pd.DataFrame(columns=["image_a", "image_b", "patient_a", "patient_b", "distance"])


def make_index(patients, images=lambda generator: 1, seed=0):
    """An index of `patients` {class: number}, each with images(generator) images and unrelated hashes."""
    generator = np.random.default_rng(seed)
    rows = [
        (f"{name}/{number:03d}-{image}.png", f"{name}{number:03d}", name, generator.bytes(32).hex())
        for name, count in patients.items()
        for number in range(count)
        for image in range(images(generator))
    ]
    return pd.DataFrame(rows, columns=["image", "patient", "class", "hash"])


def deviation(splits, fractions):
    """The largest distance of a class's images in a split from its share, in images."""
    counts = pd.crosstab(splits["class"], splits["split"])
    return max((counts[split] - counts.sum(axis=1) * share).abs().max() for split, share in fractions.items())


@pytest.mark.parametrize("fractions", [HONEST, PAPER, {"train": 0.7, "select": 0.1, "test": 0.2}])
def test_shares_hold_for_each_class_and_patients_stay_whole(fractions):
    # The paper's classes: 58 images of the rarest.
    sizes = {"bacterial": 63, "covid19": 67, "fungal": 74, "healthy": 418, "viral": 45}
    index = make_index(sizes, lambda generator: 1 + generator.poisson(0.3))
    for seed in range(5):
        splits = split_patients(index, fractions, seed, NO_PAIRS)
        assert list(splits) == ["image", "patient", "class", "split"]
        assert splits["image"].tolist() == index["image"].tolist()
        assert set(splits["split"]) == set(fractions)
        assert splits.groupby("patient")["split"].nunique().max() == 1
        assert deviation(splits, fractions) < 1


def test_patients_of_many_images_are_spread_as_the_others():
    index = make_index({"a": 200, "b": 200}, lambda generator: 1 + 5 * (generator.random() < 0.1))
    many = index["patient"].value_counts().loc[lambda counts: counts > 1].index
    found = [
        split_patients(index, HONEST, seed, NO_PAIRS).drop_duplicates("patient").set_index("patient")["split"][many]
        for seed in range(20)
    ]
    assert abs(pd.concat(found).eq("train").mean() - 0.6) < 0.1


def test_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    index = make_index({"a": 40, "b": 30}, lambda generator: 1 + generator.poisson(0.5))
    pairs = pd.DataFrame([("a/001-0.png", "a/030-0.png", "a001", "a030", 3)], columns=NO_PAIRS.columns)
    first = split_patients(index, HONEST, 1, pairs)
    reordered = index[::-1]
    again = split_patients(reordered, dict(reversed(HONEST.items())), 1, pairs).loc[index.index]
    assert first.equals(again)
    assert not first.equals(split_patients(index, HONEST, 2, pairs))


def test_a_patient_of_two_classes_stays_whole():
    index = make_index({"a": 30, "b": 30})
    index.loc[index["patient"].str[1:].astype(int) < 10, "patient"] = index["patient"].str[1:]
    splits = split_patients(index, HONEST, 0, NO_PAIRS)
    assert index["patient"].nunique() == 50
    assert splits.groupby("patient")["split"].nunique().max() == 1
    assert deviation(splits, HONEST) <= 1


def test_every_split_has_every_class_however_few_its_patients():
    for seed in range(30):
        index = make_index({"a": 50, "b": 3}, lambda generator: 1 + generator.poisson(4), seed)
        splits = split_patients(index, {"train": 0.8, "select": 0.1, "test": 0.1}, seed, NO_PAIRS)
        assert (pd.crosstab(splits["class"], splits["split"]) > 0).all(axis=None)


def test_class_too_small_for_its_splits():
    index = make_index({"a": 30, "rare": 2, "b": 1})
    with pytest.raises(StudyError) as error:
        split_patients(index, HONEST, 0, NO_PAIRS)
    assert len(error.value.problems) == 2
    assert "class 'rare': 2 patient(s) for 3 splits (train, select, test)" in error.value.problems[1]
    assert "; add patients, leave the class out" in error.value.problems[1]
    split_patients(index[index["class"] != "b"], PAPER, 0, NO_PAIRS)


def test_a_small_class_that_is_called_nearly_as_a_larger_one_may_be_mistyped():
    guess = "; or is it 'bacterial' mistyped?"
    index = make_index({"bacteral": 1, "bacterial": 20, "viral": 2})
    with pytest.raises(StudyError) as error:
        split_patients(index, HONEST, 0, NO_PAIRS)
    assert [problem.endswith(guess) for problem in error.value.problems] == [True, False]
    assert not error.value.problems[1].endswith("mistyped?")
    splits = split_patients(make_index({"bacteral": 3, "bacterial": 20}), HONEST, 0, NO_PAIRS)
    with pytest.raises(StudyError) as error:
        check_sizes(splits)
    assert len(error.value.problems) == 3
    assert all(problem.endswith(guess) for problem in error.value.problems)
    with pytest.raises(StudyError) as error:
        split_patients(splits[splits["class"].eq("bacterial") | splits["split"].eq("train")], HONEST, 0, NO_PAIRS)
    assert error.value.problems == [
        "class 'bacteral' has no image in split select, test; move a patient of it there" + guess
    ]


def test_class_too_small_to_train_or_to_judge_by():
    splits = split_patients(make_index({"a": 30, "rare": 2}), PAPER, 0, NO_PAIRS)
    with pytest.raises(StudyError) as error:
        check_sizes(splits)
    first, second = error.value.problems
    assert first.startswith("class 'rare': 1 image for training, two are the least")
    assert second.startswith("class 'rare': 1 patient in test, two are the least")
    check_sizes(split_patients(make_index({"a": 30, "b": 10}), PAPER, 0, NO_PAIRS))


def test_of_equal_remainders_test_has_the_first():
    # 7 patients of one image at 60, 20 and 20 %: 4.2, 1.4 and 1.4.
    splits = split_patients(make_index({"a": 7}), HONEST, 0, NO_PAIRS)
    assert splits["split"].value_counts().to_dict() == {"train": 4, "test": 2, "select": 1}


def test_near_duplicates_are_kept_together_and_counted_as_one_patient():
    index = make_index({"a": 30, "b": 4})
    chain = [("b/000-0.png", "b/001-0.png", "b000", "b001", 3), ("b/001-0.png", "b/002-0.png", "b001", "b002", 3)]
    pairs = pd.DataFrame(chain, columns=NO_PAIRS.columns)
    for seed in range(10):
        splits = split_patients(index, PAPER, seed, pairs).set_index("patient")["split"]
        assert len(set(splits[["b000", "b001", "b002"]])) == 1
    with pytest.raises(StudyError, match=r"class 'b': 2 patient\(s\) for 3 splits"):
        split_patients(index, HONEST, 0, pairs)


@pytest.mark.parametrize("fractions", [{"train": 0.5, "test": 0.4}, {"train": 0.5, "valid": 0.5}])
def test_fractions_that_cannot_be_used(fractions):
    with pytest.raises(StudyError, match=r"splits\.fractions"):
        split_patients(make_index({"a": 9}), fractions, 0, NO_PAIRS)


def own_splits(*, select=True):
    index = make_index({"a": 10, "b": 10})
    number = index["patient"].str[1:].astype(int)
    index["split"] = np.where(number < 6, "train", np.where((number < 8) & select, "select", "test"))
    return index


def test_the_manifest_s_own_splits_are_taken():
    index = own_splits()
    assert split_patients(index, HONEST, 0, NO_PAIRS)["split"].equals(index["split"])


def test_one_patient_in_two_of_the_manifest_s_splits():
    index = own_splits()
    index.loc[0, "patient"] = "a009"
    with pytest.raises(StudyError) as error:
        split_patients(index, HONEST, 0, NO_PAIRS)
    assert error.value.problems == ["patient 'a009' is in splits test, train; keep each patient in one"]


def test_near_duplicates_across_the_manifest_s_splits():
    index = own_splits()
    index.loc[9, "hash"] = index["hash"][0]
    index.loc[10, "hash"] = index["hash"][11]
    with pytest.raises(StudyError) as error:
        split_patients(index, HONEST, 0, near_duplicates(index))
    assert error.value.problems == [
        "a/000-0.png (patient 'a000', train) and a/009-0.png (patient 'a009', test) are nearly the same picture "
        "(0 of 256 bits differ); put both into one split, or remove one"
    ]


def test_the_manifest_s_splits_and_the_config_s_must_agree():
    with pytest.raises(
        StudyError, match=r"no image is in split 'select'; move patients there, or set splits\.fractions"
    ):
        split_patients(own_splits(select=False), HONEST, 0, NO_PAIRS)
    with pytest.raises(StudyError, match=r"images are in split 'select', which has no share; set splits\.fractions"):
        split_patients(own_splits(), PAPER, 0, NO_PAIRS)
    index = own_splits()
    index = index[(index["class"] == "a") | (index["split"] != "test")]
    with pytest.raises(StudyError, match="class 'b' has no image in split test; move a patient"):
        split_patients(index, HONEST, 0, NO_PAIRS)


def test_split_files(tmp_path):
    index = make_index({"a": 20, "b": 20}).assign(width=8, height=8)
    index.to_csv(tmp_path / "index.csv", index=False)
    outputs = {split: tmp_path / split / "index.csv" for split in HONEST}
    write_splits(tmp_path / "index.csv", outputs, tmp_path / "near.csv", HONEST, seed=4)
    parts = {split: pd.read_csv(path) for split, path in outputs.items()}
    assert {split: len(part) for split, part in parts.items()} == {"train": 24, "select": 8, "test": 8}
    assert sorted(pd.concat(parts.values())["image"]) == sorted(index["image"])
    assert all(part["image"].is_monotonic_increasing and set(part["split"]) == {split} for split, part in parts.items())
    assert list(pd.read_csv(tmp_path / "near.csv")) == list(NO_PAIRS)


def folds_of(index, folds, seed=0, pairs=NO_PAIRS):
    return [split_fold(index, HONEST, seed, pairs, fold, folds) for fold in range(1, folds + 1)]


@pytest.mark.parametrize("folds", [2, 5])
def test_every_image_is_a_test_image_of_one_fold_and_the_rest_keep_their_ratio(folds):
    sizes = {"bacterial": 63, "covid19": 67, "healthy": 418, "viral": 45}
    index = make_index(sizes, lambda generator: 1 + generator.poisson(0.3))
    parts = folds_of(index, folds)
    tested = np.stack([part["split"] == "test" for part in parts])
    assert (tested.sum(axis=0) == 1).all()
    rest = 1 - 1 / folds
    for part in parts:
        assert part["image"].tolist() == index["image"].tolist()
        assert part.groupby("patient")["split"].nunique().max() == 1
        # 0.6 to 0.2, as the shares of train and select are.
        assert deviation(part, {"train": 0.75 * rest, "select": 0.25 * rest, "test": 1 / folds}) <= 2


def test_folds_hang_on_the_seed_and_not_on_the_order_of_rows():
    index = make_index({"a": 30, "b": 20})
    first, again = folds_of(index, 3, seed=1)[0], folds_of(index.sample(frac=1, random_state=0), 3, seed=1)[0]
    assert first.equals(again.loc[index.index])
    assert not first.equals(folds_of(index, 3, seed=2)[0])


def test_patients_of_nearly_the_same_picture_stay_together_in_every_fold():
    index = make_index({"a": 20, "b": 20})
    pairs = pd.DataFrame([("", "", "a003", "b011", 4), ("", "", "b011", "b012", 9)], columns=NO_PAIRS.columns)
    for seed in range(5):
        for part in folds_of(index, 4, seed, pairs):
            assert len(set(part.set_index("patient").loc[["a003", "b011", "b012"], "split"])) == 1


def test_folds_that_cannot_be_dealt_are_named():
    index = make_index({"a": 30, "rare": 4})
    with pytest.raises(StudyError, match=r"class 'rare': 4 patient\(s\) for 5 splits \(fold 1, .*splits\.folds"):
        folds_of(index, 5)
    with pytest.raises(StudyError, match=r"class 'rare': 1 patient\(s\) for 2 splits \(train, select\)"):
        folds_of(make_index({"a": 30, "rare": 2}), 2)
    with pytest.raises(StudyError, match=r"1 patient in test.*fewer folds"):
        check_sizes(folds_of(index, 4)[0])


def test_splits_of_the_manifest_and_folds_contradict_each_other():
    with pytest.raises(StudyError) as error:
        folds_of(own_splits(), 2)
    assert error.value.problems == [
        "the manifest has a column `split`, and splits.folds asks for others; remove the column, or set splits.folds "
        "to null"
    ]


def test_files_of_a_fold(tmp_path):
    make_index({"a": 20, "b": 20}).assign(width=8, height=8).to_csv(tmp_path / "index.csv", index=False)
    tested = []
    for fold in (1, 2):
        outputs = {split: tmp_path / str(fold) / split / "index.csv" for split in HONEST}
        write_splits(tmp_path / "index.csv", outputs, tmp_path / "near.csv", HONEST, seed=4, fold=fold, folds=2)
        parts = {split: pd.read_csv(path) for split, path in outputs.items()}
        assert {split: len(part) for split, part in parts.items()} == {"train": 14, "select": 6, "test": 20}
        tested += parts["test"]["image"].tolist()
    assert sorted(tested) == sorted(pd.read_csv(tmp_path / "index.csv")["image"])
