import pytest
import torch

from synthworth.generators.states import load_state, save_state


def test_a_tree_comes_back_as_it_was(tmp_path):
    weight = torch.randn(3, 4)
    tree = {
        "step": 7,
        "rate": 0.1,
        "text": "cosine",
        "none": None,
        "flag": True,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2, dtype=torch.bfloat16)}}, "groups": [{"params": [0, 1]}]},
        "shared": [weight, weight.T, weight[0]],
    }
    save_state(tmp_path / "state.safetensors", tree)
    found = load_state(tmp_path / "state.safetensors")
    for key in ("step", "rate", "text", "none", "flag"):
        assert found[key] == tree[key]
    assert found["optimizer"]["groups"] == [{"params": [0, 1]}]
    assert torch.equal(found["optimizer"]["state"][0]["exp_avg"], torch.ones(2, dtype=torch.bfloat16))
    assert all(torch.equal(one, other) for one, other in zip(found["shared"], tree["shared"], strict=True))


def test_numbers_come_back_to_the_last_bit(tmp_path):
    save_state(tmp_path / "state.safetensors", {"rate": 0.1 + 0.2, "tensor": torch.tensor([0.1, float("inf")])})
    found = load_state(tmp_path / "state.safetensors")
    assert found["rate"] == 0.1 + 0.2
    assert torch.equal(found["tensor"], torch.tensor([0.1, float("inf")]))


def test_what_is_no_plain_value_is_refused(tmp_path):
    with pytest.raises(TypeError, match="cannot hold function"):
        save_state(tmp_path / "state.safetensors", {"loss": lambda: 0})
