import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from synthworth.errors import StudyError
from synthworth.generators.training import LossCurve, MicroBatches, batch_rows


@pytest.fixture(scope="module")
def accelerator():
    return Accelerator(cpu=True)


def test_an_epoch_shows_every_image_once_and_epochs_differ():
    rows = np.concatenate([batch_rows(5, step, batch_size=4, images=10) for step in range(5)])
    first, second = rows[:10], rows[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert list(first) != list(second)


def test_a_batch_is_a_function_of_seed_and_step():
    np.testing.assert_array_equal(batch_rows(5, 3, 4, 10), batch_rows(5, 3, 4, 10))
    assert list(batch_rows(6, 3, 4, 10)) != list(batch_rows(5, 3, 4, 10))


def test_slices_cover_the_share():
    assert MicroBatches(slice(4, 12), None).slices() == [slice(4, 12)]
    assert MicroBatches(slice(4, 12), 3).slices() == [slice(4, 7), slice(7, 10), slice(10, 12)]
    assert MicroBatches(slice(4, 12), 100).slices() == [slice(4, 12)]


def memory_for(images):
    """A computation that runs out of memory above so many images at once."""
    tried = []

    def gradients(slices):
        tried.append([part.stop - part.start for part in slices])
        if max(tried[-1]) > images:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return "done"

    return gradients, tried


def test_out_of_memory_halves_the_slices_and_keeps_the_batch(accelerator, capsys):
    gradients, tried = memory_for(3)
    micro_batches = MicroBatches(slice(0, 16), None)
    assert micro_batches.attempt(gradients, accelerator) == "done"
    assert tried == [[16], [8] * 2, [4] * 4, [2] * 8]
    assert "going on with 2 images at once" in capsys.readouterr().out
    # What has been found to fit is where the next step begins.
    micro_batches.attempt(gradients, accelerator)
    assert tried[-1] == [2] * 8


def test_slices_stay_multiples_and_other_ways_come_last(accelerator):
    gradients, tried = memory_for(3)
    spared = iter([True, False])
    with pytest.raises(StudyError, match="does not suffice for 4 images") as error:
        MicroBatches(slice(0, 16), None, multiple=4, spare=lambda: next(spared)).attempt(gradients, accelerator)
    assert tried == [[16], [8] * 2, [4] * 4, [4] * 4]
    assert "smaller `size`" in str(error.value)
    # There is nothing smaller.
    assert "micro_batch_size" not in str(error.value)


def test_other_errors_are_not_taken_for_want_of_memory(accelerator):
    def gradients(slices):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        MicroBatches(slice(0, 16), None).attempt(gradients, accelerator)


def test_a_line_of_the_curve_is_a_mean(accelerator, capsys):
    curve = LossCurve(accelerator, start=0, limit=100.0, remedies=[])
    for step in range(1, 53):
        curve.add(step, torch.tensor(float(step)), last=step == 52, learning_rate=0.5)
    assert curve.losses == [25.5, 51.5]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["step"] for line in lines] == [50, 52]
    assert lines[1] == {"step": 52, "loss": 51.5, "learning_rate": 0.5}


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 11.0, -11.0])
def test_a_loss_that_explodes_stops_the_training(accelerator, loss):
    curve = LossCurve(accelerator, start=40, limit=10.0, remedies=["lower the rate"])
    with pytest.raises(StudyError, match="Training diverged") as error:
        curve.add(47, torch.tensor(loss), last=True)
    assert "at step 47" in str(error.value)
    assert "last good checkpoint: step 40" in str(error.value)
    assert "lower the rate" in str(error.value)
