import json

import pytest
import safetensors.torch
import timm
import torch

from synthworth.classifiers.models import create_classifier, fetch_pretrained, load_classifier, save_classifier
from synthworth.errors import StudyError

TINY = ["test_resnet", "test_convnext", "test_efficientnet"]


@pytest.mark.parametrize("architecture", [*TINY, "resnet50", "efficientnet_b0", "efficientnet_b1", "convnext_tiny"])
def test_the_only_dropout_is_right_before_the_last_layer(architecture):
    torch.manual_seed(0)
    model = create_classifier(architecture, 5, dropout=0.5)
    seen = []
    model.get_classifier().register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    images = torch.randn(2, 3, 64, 64)
    # Batch normalisation that keeps its statistics: what still differs between two passes is dropout alone.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        assert model(images).shape == (2, 5)
        model(images)
        model.eval()(images)
    whole = seen[-1]
    first, second, whole = (features[whole != 0] for features in seen)
    kept = first != 0
    assert 0.3 < kept.float().mean() < 0.7
    assert not torch.equal(kept, second != 0)
    torch.testing.assert_close(first[kept], 2 * whole[kept])


def test_unknown_architecture_is_answered_with_close_names():
    with pytest.raises(StudyError, match="resnet50"):
        create_classifier("resnt50", 5)
    with pytest.raises(StudyError, match="resnet50.a1_in1k"):
        create_classifier("resnet50.nothing", 5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(("architecture", "classes"), [("test_resnet", 1000), ("test_convnext", 14)])
def test_pretrained_body_is_taken_over_and_the_head_is_new(tmp_path, architecture, classes, suffix):
    torch.manual_seed(1)
    source = timm.create_model(architecture, num_classes=classes)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        safetensors.torch.save_file(source.state_dict(), file)
    else:
        torch.save({"state_dict": source.state_dict()}, file)
    fetch_pretrained(architecture, str(file), tmp_path / "fetched.safetensors", "classifiers.x.pretrained")
    model = create_classifier(architecture, classes, pretrained=tmp_path / "fetched.safetensors")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.eval().forward_features(images), source.eval().forward_features(images))
    assert not torch.equal(model.get_classifier().weight, source.get_classifier().weight)


def test_fetching_says_which_key_to_change(tmp_path):
    output = tmp_path / "fetched.safetensors"
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(timm.create_model("test_convnext").state_dict(), other)
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(b"not weights")
    for source in (str(tmp_path / "missing.safetensors"), str(other), str(damaged)):
        with pytest.raises(StudyError, match=r"classifiers\.a\.pretrained: cannot load .*: false` to train"):
            fetch_pretrained("test_resnet", source, output, "classifiers.a.pretrained")
        assert not output.exists()


@pytest.mark.parametrize("source", [True, "someone/some-weights"])
def test_fetching_without_network_names_the_key_and_the_way(tmp_path, monkeypatch, source):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(StudyError, match=r"classifiers\.a\.pretrained.*On a machine with network.*test_resnet"):
        fetch_pretrained("test_resnet", source, tmp_path / "fetched.safetensors", "classifiers.a.pretrained")


def test_weights_of_another_architecture_are_refused(tmp_path):
    file = tmp_path / "resnet.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), file)
    with pytest.raises(StudyError, match="do not belong to test_convnext"):
        create_classifier("test_convnext", 5, pretrained=file)


@pytest.mark.parametrize("architecture", TINY)
def test_a_folder_gives_the_classifier_back_to_us_and_to_timm(tmp_path, architecture):
    torch.manual_seed(2)
    model = create_classifier(architecture, 3, dropout=0.5)
    model.to(memory_format=torch.channels_last)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_classifier(tmp_path / "c", model, state, ["healthy", "viral", "fungal"], 64, 0.5, 7)
    loaded, facts = load_classifier(tmp_path / "c")
    assert facts == {"classes": ["healthy", "viral", "fungal"], "size": 64, "dropout": 0.5, "epoch": 7}
    config = json.loads((tmp_path / "c/config.json").read_text())
    assert config["pretrained_cfg"]["input_size"] == [3, 64, 64]
    by_timm = timm.create_model(f"local-dir:{tmp_path / 'c'}", pretrained=True).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(images)
        torch.testing.assert_close(loaded(images), expected)
        torch.testing.assert_close(by_timm(images), expected)
