"""AUROCs, of one stratum and of several, and their intervals."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from synthworth.statistics.areas import area_under_curve, pooled_area


def test_auroc_counts_pairs_and_ties_as_half():
    rng = np.random.default_rng(0)
    real, made = rng.integers(0, 9, 30), rng.integers(2, 12, 20)
    truth = np.repeat([0, 1], [30, 20])
    assert area_under_curve(real, made) == pytest.approx(roc_auc_score(truth, np.concatenate([real, made])))
    assert area_under_curve(np.zeros(3), np.zeros(4)) == 0.5


def test_limits_solve_newcombes_equation():
    value, m, n = 0.8, 25, 40
    found = pooled_area([(1.0, value, m, n)], 0.95)
    for theta in (found["low"], found["high"]):
        middle = (m + n) / 2 - 1
        variance = (
            theta * (1 - theta) * (1 + middle * (1 - theta) / (2 - theta) + middle * theta / (1 + theta)) / (m * n)
        )
        assert abs(value - theta) == pytest.approx(norm.ppf(0.975) * np.sqrt(variance))
    assert found["low"] < value < found["high"]
    wider = pooled_area([(1.0, value, m, n)], 0.99)
    assert wider["low"] < found["low"]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_perfect_separation_leaves_an_interval(value):
    few, many = (pooled_area([(1.0, value, n, n)], 0.95) for n in (5, 500))
    assert 0.3 < few["high"] - few["low"] < 0.8
    assert 0 < many["high"] - many["low"] < 0.05
    assert value in (few["low"], few["high"])
