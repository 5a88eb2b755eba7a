import pytest

from synthworth.files import replacing


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "scores.csv"
    with replacing(path) as temporary:
        temporary.write_text("a")
        assert not path.exists()
        assert temporary.suffix == ".csv"
    assert path.read_text() == "a"
    assert [file.name for file in path.parent.iterdir()] == ["scores.csv"]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "checkpoint"
    (path / "old").mkdir(parents=True)
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("w")
    assert [file.name for file in path.iterdir()] == ["weights"]


def test_leavings_of_a_killed_job_are_no_hindrance(tmp_path):
    path = tmp_path / "checkpoint"
    (tmp_path / ".incomplete-checkpoint" / "half").mkdir(parents=True)
    with replacing(path) as temporary:
        temporary.mkdir()
    assert list(path.iterdir()) == []
