"""Features: images as vectors, by the extractor that a score names. They are computed once per image set and kept.

An extractor's kind is a module of this package. It holds

- `load(weights, device)`: from the folder `weights`, a function from uint8 images [b, height, width, 1 or 3] of any
  size to float32 features [b, d] on that device, the image's own preprocessing included;

and, unless the study trains it (`domain`),

- `WEIGHTS`: the published weights, as the name or address that `fetch` takes;
- `REMEDY`: how someone without network gets them;
- `fetch(source, folder)`: puts weights from a local path, or from where `WEIGHTS` are published, into a new folder.

The kinds: `inception`, `clip`, `xrv`, `dinov2` and `domain`. They are imported by name, so that a job's fingerprint,
that of `features.<kind>`, holds the code of its own extractor only, and its start pays for no other's libraries.
Nothing here imports torch: who only reads features does without it.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from synthworth.errors import StudyError
from synthworth.files import replacing

KINDS = ("inception", "clip", "xrv", "dinov2", "domain")
# Images at a time. On a CPU more of them leave its caches, and their memory is asked of the system anew each time.
GPU_BATCH_SIZE = 64
CPU_BATCH_SIZE = 16

# uint8 images [n, height, width, 1 or 3] -> float32 features [n, d]
Extractor = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Features:
    """Features of a set of images, float32 [n, d] of one extractor, and of each image what the file says.

    `labels`: str [n], classes. Real images have `names` and `patients` (str [n]), synthetic ones `index` (int [n], the
    number of the image within its class); else these are None.
    """

    features: np.ndarray
    labels: np.ndarray
    names: np.ndarray | None = None
    patients: np.ndarray | None = None
    index: np.ndarray | None = None

    def of_class(self, name: str) -> "Features":
        """The images of one class, in their order; none where there is no such class."""
        chosen = self.labels == name
        return Features(**{key: None if values is None else values[chosen] for key, values in vars(self).items()})


def load_features(path: Path) -> Features:
    """The features in a file that `extract_reference` or `extract_samples` wrote."""
    with np.load(path) as arrays:
        return Features(**arrays)


def extract_reference(images: Path, index: Path, kind: str, weights: Path, output: Path) -> None:
    """Features of all real images of a split, in its order, as npz (see `Features`).

    `images` is the split's array `images-<size>.npy`, read batch by batch, `index` its `index.csv`: `labels` are its
    column `class`, `names` its `image` and `patients` its `patient`. `weights` is the extractor's folder.
    """
    import pandas as pd

    # A class may be named `NA`, and a patient 007.
    rows = pd.read_csv(index, dtype=str, keep_default_na=False)
    pixels = np.load(images, mmap_mode="r")
    if len(pixels) != len(rows):
        raise StudyError(
            "The real images are not those of their index.",
            [f"{images} has {len(pixels)} images, {index} {len(rows)} rows; delete {images}, to have it made anew"],
        )
    features = load_extractor(kind, weights)(pixels)
    _save(output, features, labels=_text(rows["class"]), names=_text(rows["image"]), patients=_text(rows["patient"]))


def extract_samples(shards: Sequence[Path], kind: str, weights: Path, output: Path) -> None:
    """Features of the synthetic images of some shards, in their order, as npz (see `Features`).

    `labels` and `index` are the shards' columns `label` and `index`. `weights` is the extractor's folder.
    """
    import pandas as pd

    from synthworth.shards import read_shard

    extractor = load_extractor(kind, weights)
    features, rows = [], []
    for shard in shards:
        images, own = read_shard(shard, columns=["label", "index"])
        features.append(extractor(images))
        rows.append(own)
    table = pd.concat(rows)
    _save(output, np.concatenate(features), labels=_text(table["label"]), index=table["index"].to_numpy(np.int64))


def fetch_extractor(kind: str, weights: str | None, output: Path, config_key: str) -> None:
    """Writes the weights of an extractor to the folder `output`, from which `load_extractor` needs no network.

    `weights` is a local path or a name that the kind knows (see its module); None: its published weights. They are
    tried on an image first. StudyError that names `config_key` (as `fidelity.extractors.inception.weights`) and the
    remedy where they are missing, cannot be downloaded, or are not those of this kind.
    """
    module = _module(kind)
    source = module.WEIGHTS if weights is None else weights
    with replacing(output) as folder:
        folder.mkdir()
        try:
            module.fetch(source, folder)
            load_extractor(kind, folder, device="cpu")(np.zeros((1, 32, 32, 1), np.uint8))
        # No network, no such file, a damaged one, one of another network: errors of six libraries. To the user all
        # are the same: these weights cannot be had.
        except Exception as error:
            asked = source if weights is not None else f"null, for {source},"
            raise StudyError(
                f"The weights of the extractor `{kind}` cannot be used.",
                [f"{config_key}: {asked} does not give them ({_cause(error)}); {module.REMEDY.format(key=config_key)}"],
            ) from error


def load_extractor(kind: str, weights: Path, device: str | None = None, batch_size: int | None = None) -> Extractor:
    """The extractor of a kind (see above), from its folder.

    It maps uint8 images [n, height, width, 1 or 3] of any size, n > 0, to float32 features [n, d], in batches, and
    the same images always to the same features: full float32 precision, no choice of algorithms by timing. What else
    is in a batch changes no more than rounding. `device` None is a GPU where there is one, `batch_size` None what suits
    the device. StudyError for features that are not finite.
    """
    import torch

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    batch_size = batch_size or (CPU_BATCH_SIZE if device == "cpu" else GPU_BATCH_SIZE)
    features_of = _module(kind).load(Path(weights), device)

    def extractor(images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not len(images):
            raise ValueError(
                f"an extractor takes uint8 images [n, height, width, 1 or 3], not {images.dtype} {images.shape}"
            )
        # `enabled`, because the default of these flags turns cuDNN off.
        flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False)
        with torch.inference_mode(), flags:
            batches = (images[start : start + batch_size] for start in range(0, len(images), batch_size))
            features = np.concatenate([features_of(batch).float().cpu().numpy() for batch in batches])
        bad = np.count_nonzero(~np.isfinite(features).all(axis=1))
        if bad:
            raise StudyError(
                "Features that are not finite.",
                [f"`{kind}` makes them of {bad} of {len(images)} images: {weights} is damaged; delete it"],
            )
        return features

    return extractor


def _module(kind: str) -> ModuleType:
    if kind not in KINDS:
        raise ValueError(f"no extractor of kind {kind!r}; there are {', '.join(KINDS)}")
    return importlib.import_module(f"{__name__}.{kind}")


def _save(output: Path, features: np.ndarray, **columns: np.ndarray) -> None:
    with replacing(output) as temporary:
        np.savez(temporary, features=features.astype(np.float32), **columns)


def _text(values: Sequence[str]) -> np.ndarray:
    # Not `object`, which numpy would pickle.
    return np.array(list(values), dtype=np.str_)


def _cause(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:300]}..."
