"""Classification networks: timm architectures, their pretrained weights and their folders on disk.

A classifier's folder holds `model.safetensors` and `config.json` in timm's own layout: besides `load_classifier`,
`timm.create_model("local-dir:<folder>", pretrained=True)` reads it.
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import timm
import torch
from timm.models import load_state_dict, load_state_dict_from_hf, save_for_hf

from synthworth.errors import StudyError
from synthworth.files import replacing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".tar")


def create_classifier(
    architecture: str, classes: int, dropout: float = 0.0, pretrained: Path | None = None
) -> torch.nn.Module:
    """A timm network from 3-channel images to `classes` logits (or those of as many findings), in training mode.

    `architecture` is a name of timm, with or without the tag of its weights (`resnet50`, `convnext_tiny.fb_in1k`).
    `dropout` is the probability of one dropout layer right before the last linear layer (the paper: 0.5, section
    2.3). `pretrained` is a file that `fetch_pretrained` wrote; the last linear layer is new in any case. New layers
    are drawn from torch's global generator: seed it first. Raises StudyError for an unknown architecture and for
    weights of another one.
    """
    model = _create(architecture, num_classes=classes, drop_rate=dropout)
    if pretrained is not None:
        found = model.load_state_dict(safetensors.torch.load_file(pretrained), strict=False)
        if found.unexpected_keys or not set(found.missing_keys) <= _head_keys(model):
            raise StudyError(
                f"The pretrained weights do not belong to {architecture}",
                [f"{pretrained}: delete the file, so that it is made anew from the config's `pretrained`"],
            )
    return model


def fetch_pretrained(architecture: str, source: bool | str, output: Path, config_key: str) -> None:
    """Writes the pretrained weights of `architecture` to `output`: one safetensors file, without the last layer.

    `source` is True for the weights that timm names for the architecture (downloaded, or from its cache), else a
    local file (safetensors, or a state dict that torch saved), a local folder with `model.safetensors`, or the id of
    a repository on the Hugging Face hub. The weights are loaded into the architecture before anything is written.
    Raises StudyError that names `config_key` (as `classifiers.resnet50.pretrained`) and the remedy where the
    weights are missing, cannot be downloaded, or are those of another architecture.
    """
    model = _create(architecture)
    try:
        if source is True:
            model = timm.create_model(architecture, pretrained=True)
        else:
            model = _load_strictly(architecture, _read_weights(str(source)), model.pretrained_cfg["classifier"])
    # A failed download, a damaged file and weights of another network end in errors of five libraries; to the user
    # all are the same: these weights cannot be had.
    except Exception as error:
        raise _missing_weights(architecture, source, config_key, error) from error
    mean = tuple(model.pretrained_cfg["mean"])
    if source is True and mean != IMAGENET_MEAN:
        raise StudyError(
            "Pretrained weights of another normalisation.",
            [
                f"{config_key}: {architecture} was trained on images normalised with mean {mean}, the study gives it "
                f"{IMAGENET_MEAN}; choose weights of another tag in `architecture`, or `pretrained: false`"
            ],
        )
    head = _head_keys(model)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name not in head}
    with replacing(output) as temporary:
        safetensors.torch.save_file(state, temporary, metadata={"format": "pt", "architecture": architecture})


def save_classifier(
    folder: Path,
    model: torch.nn.Module,
    state: Mapping[str, torch.Tensor],
    classes: Sequence[str],
    size: int,
    dropout: float,
    epoch: int,
    findings: Sequence[str] = (),
) -> None:
    """Writes the weights `state` of `model` and what is needed to use them into `folder`, which is made.

    Its logits are of `findings` where there are any, else of `classes`. `model` is left with these weights, on the CPU.
    """
    # Safetensors takes no tensor in channels-last layout.
    model.to("cpu", memory_format=torch.contiguous_format).load_state_dict(state)
    facts = {"classes": list(classes), "size": size, "dropout": dropout, "epoch": epoch}
    if findings:
        facts["findings"] = list(findings)
    config = {"label_names": list(findings or classes), "synthworth": facts}
    preprocessing = {"input_size": (3, size, size), "mean": IMAGENET_MEAN, "std": IMAGENET_STD, "crop_pct": 1.0}
    save_for_hf(model, folder, model_config=config, safe_serialization=True, data_config=preprocessing)


def load_classifier(folder: Path) -> tuple[torch.nn.Module, dict]:
    """The classifier in `folder`, in evaluation mode, and its facts: `classes`, `size`, `dropout`, `epoch`.

    And `findings`, where its logits are of these.
    """
    config = json.loads((folder / CONFIG_NAME).read_text())
    facts = config["synthworth"]
    model = create_classifier(config["architecture"], len(config["label_names"]), facts["dropout"])
    model.load_state_dict(safetensors.torch.load_file(folder / WEIGHTS_NAME))
    return model.eval(), facts


def _create(architecture: str, **settings: float) -> torch.nn.Module:
    if not timm.is_model(architecture):
        close = difflib.get_close_matches(architecture.split(".")[0], timm.list_models(), n=5)
        remedy = f"did you mean {', '.join(close)}?" if close else "timm.list_models() lists the names"
        raise StudyError("Unknown classifier architecture", [f"timm has no `{architecture}`: {remedy}"])
    try:
        return timm.create_model(architecture, pretrained=False, in_chans=3, **settings)
    except RuntimeError as error:
        tags = timm.list_pretrained(f"{architecture.split('.')[0]}.*")
        raise StudyError(
            "Unknown classifier weights", [f"`{architecture}`: {error}; timm has {', '.join(tags) or 'none'}"]
        ) from error


def _head_keys(model: torch.nn.Module) -> set[str]:
    names = model.pretrained_cfg["classifier"]
    names = (names,) if isinstance(names, str) else names
    return {f"{name}.{part}" for name in names for part in ("weight", "bias")}


def _read_weights(source: str) -> dict[str, torch.Tensor]:
    path = Path(source).expanduser()
    if path.is_dir():
        path = path / WEIGHTS_NAME
    if path.exists() or path.is_absolute() or path.suffix in WEIGHT_SUFFIXES:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path}")
        return load_state_dict(str(path))
    return load_state_dict_from_hf(source.removeprefix("hf-hub:"))


def _load_strictly(
    architecture: str, state: dict[str, torch.Tensor], head: str | Sequence[str] | None
) -> torch.nn.Module:
    # timm loads strictly, naming each missing tensor, only if it believes that the weights have as many classes as
    # the model; and weights that were trained on other data (14 findings, say) have another number than ImageNet.
    heads = (head,) if isinstance(head, str) else tuple(head or ())
    names = (f"{name}.weight" for name in (*heads, "fc", "head", "classifier"))
    classes = next((len(state[name]) for name in names if name in state), 0)
    overlay = {"state_dict": state, "num_classes": classes, "label_offset": 0, "custom_load": False}
    return timm.create_model(architecture, pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay)


def _missing_weights(architecture: str, source: bool | str, config_key: str, error: Exception) -> StudyError:
    wanted = f"timm's pretrained weights of {architecture}" if source is True else f"`{source}` for {architecture}"
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = reason if len(reason) <= 300 else f"{reason[:300]}..."
    file = f"{architecture}.safetensors"
    code = (
        "import timm, safetensors.torch; safetensors.torch.save_file("
        f"timm.create_model('{architecture}', pretrained=True).state_dict(), '{file}')"
    )
    remedy = (
        f'On a machine with network, `python -c "{code}"` makes the file {file}: copy it here and set `{config_key}` '
        f"to its path; or set `{config_key}: false` to train from random weights"
    )
    return StudyError("Pretrained weights are missing", [f"{config_key}: cannot load {wanted} ({reason}). {remedy}"])
