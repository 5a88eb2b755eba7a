"""Benchmarks that no one can run everywhere: their arithmetic, and a dry run."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def classifier_gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return pytest.importorskip("classifier_gpu")


def test_the_papers_705_runs_are_projected_from_rates(classifier_gpu):
    config = classifier_gpu.paper()
    assert classifier_gpu.runs_of(config) == 705
    # 25 runs on 865 images and on those with 500, 1250, 2500, 3750 and 5000 more by five generators, with 25,000 and
    # 50,000 more by one of them, and 5 on 5 x 543; 60 passes each over these and over 217 test images.
    passes = 25 * (865 + 5 * (5 * 865 + 13_000) + 2 * 865 + 75_000) + 5 * 5 * 543
    rate = classifier_gpu.Rate(training=100.0, validation=50.0)
    rates = dict.fromkeys(config["classifiers"], rate)
    assert classifier_gpu.hours(config, rates) == pytest.approx(60 * (passes / 100 + 705 * 217 / 50) / 3600)
    # Only its own runs hang on a network's rate.
    faster = rates | {"resnet50": classifier_gpu.Rate(training=1e12, validation=1e12)}
    own = 5 * (865 + 5 * (5 * 865 + 13_000) + 2 * 865 + 75_000) / 100 + 140 * 217 / 50
    saved = classifier_gpu.hours(config, rates) - classifier_gpu.hours(config, faster)
    assert saved == pytest.approx(60 * own / 3600)


def test_without_a_gpu_it_says_so(classifier_gpu, monkeypatch, capsys):
    monkeypatch.setattr(classifier_gpu, "on_gpu", lambda: False)
    classifier_gpu.main([])
    assert capsys.readouterr().out.startswith("No GPU: nothing is measured.")


def test_a_dry_run_measures_as_published_and_as_in_a_study(classifier_gpu, capsys, monkeypatch):
    monkeypatch.delitem(classifier_gpu.WAYS, "a study")
    classifier_gpu.main(["--dry", "--runs", "1"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [row[0] for row in rows[1:]] == [
        "test_resnet, published",
        "test_resnet, a study, compiled",
        "all 705 runs, published",
        "all 705 runs, a study, compiled",
    ]
    assert all(float(number) > 0 for row in rows[1:3] for number in row[2:4])
    assert all(float(row[4]) > 0 for row in rows[3:])
