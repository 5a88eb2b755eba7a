"""The audit of a whole study, from its files: shards, features, arrays and indices of images."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from synthworth.features import load_features
from synthworth.figure_style import save_figure
from synthworth.memorization.audit import audit, compare_real, compare_synthetic
from synthworth.memorization.outputs import read_reference, read_table, write_csv
from synthworth.memorization.sets import ImageSet
from synthworth.memorization.sheets import closest_pairs
from synthworth.protocols import provenance
from synthworth.seeds import seed as seed_of
from synthworth.selected import read_selection
from synthworth.shards import read_shard


def compare_real_images(
    train: Mapping[str, str],
    held_out: Mapping[str, str],
    weights: Path,
    comparisons: str,
    twins: str,
    name: str,
    kind: str,
    sources: int,
    seed: int,
) -> None:
    """The reference of the class `name` (`audit.compare_real`) as two CSVs.

    `train` and `held_out` have the files of a split: `images` (uint8 array), `index` (CSV) and `features` (npz). Images
    of all classes count as trained on: of models of one class, those of others are as good as any real image.
    """
    from synthworth.features import load_extractor

    features_of = load_extractor(kind, weights)
    reference = compare_real(_split(train), _split(held_out, name), features_of, seed, sources)
    write_csv(reference.comparisons, comparisons)
    write_csv(reference.twins, twins)


def compare_synthetic_images(
    train: Mapping[str, str],
    held_out: Mapping[str, str],
    samples: str,
    features: str,
    output: str,
    classes: Sequence[str],
    seed: int,
) -> None:
    """The comparisons (`audit.compare_synthetic`) of the classes of a checkpoint as one CSV, its column `class` first.

    `samples` is the shard of its images, `features` the npz of theirs.
    """
    trained_on = _split(train)
    pixels, rows = read_shard(samples, columns=["label", "index"])
    found = load_features(Path(features))
    frames = []
    for name in classes:
        own = (rows["label"] == name).to_numpy()
        images = ImageSet(found.features[own], pixels[own], rows["index"][own].astype(str).tolist())
        frame = compare_synthetic(images, trained_on, _split(held_out, name), seed)
        frame.insert(0, "class", name)
        frames.append(frame)
    write_csv(pd.concat(frames), output)


def audit_generator(
    comparisons: Sequence[str],
    references: Sequence[str],
    selected: str,
    images: str,
    summary: str,
    power: str,
    alarms: str,
    generator: str,
    checkpoints: Sequence[tuple[str, int]],
    classes: Sequence[str],
    rate: float,
    trials: int,
    seed: int,
) -> None:
    """Audits every checkpoint of a generator; four CSVs.

    `comparisons` are those of `checkpoints` (scope and step), in that order; `references` are the two files of each of
    `classes`, in that order. `summary` has the scores of all checkpoints, with columns generator, class, scope, step
    and selected; `images`, `power` and `alarms` are of the chosen ones, with generator and class.
    """
    pairs = zip(references[::2], references[1::2], strict=True)
    known = {name: read_reference(*files) for name, files in zip(classes, pairs, strict=True)}
    chosen = read_selection(selected)
    tables: dict[str, list[pd.DataFrame]] = {output: [] for output in (images, summary, power, alarms)}
    for (scope, step), file in zip(checkpoints, comparisons, strict=True):
        for name, comparison in read_table(file).groupby("class", sort=False):
            others = [reference for other, reference in known.items() if other != name]
            found = audit(
                comparison.drop(columns="class").reset_index(drop=True),
                known[name],
                seed_of(seed, name),
                others,
                rate,
                trials,
            )
            is_chosen = (chosen[name]["scope"], chosen[name]["step"]) == (scope, step)
            names = {"generator": generator, "class": name}
            of_checkpoint = names | {"scope": scope, "step": step, "selected": is_chosen}
            tables[summary].append(_named(found.summary(), of_checkpoint))
            if is_chosen:
                own = ((images, found.images), (power, found.power), (alarms, found.alarm_table()))
                for output, frame in own:
                    tables[output].append(_named(frame, names))
    for output, frames in tables.items():
        write_csv(pd.concat(frames), output)


def collect(paths: Sequence[str], output: str) -> None:
    """The same table of several generators as one CSV."""
    write_csv(pd.concat([read_table(path) for path in paths]), output)


def draw_closest_pairs(
    audited: str,
    alarms: str,
    selected: str,
    samples: Sequence[str],
    images: str,
    index: str,
    png: str,
    pdf: str,
    study: str,
    protocol: str,
) -> None:
    """The chosen checkpoints' images that are most like a training image, each beside it, over all classes.

    `audited` and `alarms` are tables of `audit_generator`, `samples` the shards of all checkpoints, `images` and
    `index` those of the training split.
    """
    chosen = {(name, choice["scope"], choice["step"]) for name, choice in read_selection(selected).items()}
    table = read_table(audited)
    pixels: dict[tuple[str, str], np.ndarray] = {}
    for shard in samples:
        found, rows = read_shard(shard)
        for place, row in enumerate(rows.itertuples()):
            if (row.label, row.scope, row.step) in chosen:
                pixels[row.label, str(row.index)] = found[place]
    synthetic = np.stack([pixels[key] for key in zip(table["class"], table["image"], strict=True)])
    names = pd.read_csv(index, dtype=str, keep_default_na=False)["image"]
    trained_on = np.load(images, mmap_mode="r")
    wanted = set(table["similar_image"])
    training = {name: trained_on[place] for place, name in enumerate(names) if name in wanted}
    own = read_table(alarms).query("images == 'own'")
    generator = table["generator"].iloc[0]
    flags = ", ".join(f"{value:.2f} ({name})" for value, name in zip(own["threshold"], own["class"], strict=True))
    note = f"Flagged: a copy score above {flags}. {provenance(study, protocol)}"
    figure = closest_pairs(table, synthetic, training, title=f"Closest pairs ({generator})", note=note)
    save_figure(figure, png, pdf)


def flag_shard(
    shard: str,
    train: Mapping[str, str],
    references: Sequence[str],
    weights: Path,
    output: str,
    names: Mapping[str, str],
    kind: str,
    rate: float,
) -> None:
    """Which images of a shard are copies: a CSV, after `names` index, similarity, similar_image and flagged.

    The alarm is that of the audit: the first two of `references` are the class's own, the others those of the others.
    """
    from synthworth.features import load_extractor
    from synthworth.memorization.copies import most_similar
    from synthworth.memorization.power import calibrate

    trained_on = _split(train)
    pixels, rows = read_shard(shard, columns=["index"])
    scores, places = most_similar(ImageSet(load_extractor(kind, weights)(pixels), pixels), trained_on)
    known = [read_reference(*files) for files in zip(references[::2], references[1::2], strict=True)]
    own, *others = (reference.of_kind("held_out")["similarity"].to_numpy() for reference in known)
    threshold = calibrate(own, others, rate).threshold
    frame = pd.DataFrame(
        {
            "index": rows["index"],
            "similarity": scores,
            "similar_image": [trained_on.names[place] for place in places],
            "flagged": scores > threshold,
        }
    )
    write_csv(_named(frame, names), output)


def _split(files: Mapping[str, str], name: str | None = None) -> ImageSet:
    """The images of a split, of one class or of all."""
    rows = pd.read_csv(files["index"], dtype=str, keep_default_na=False)
    own = np.arange(len(rows)) if name is None else np.flatnonzero(rows["class"] == name)
    return ImageSet(
        load_features(Path(files["features"])).features[own],
        np.load(files["images"], mmap_mode="r")[own],
        rows["image"].iloc[own].tolist(),
        rows["patient"].iloc[own].tolist(),
    )


def _named(frame: pd.DataFrame, names: Mapping[str, object]) -> pd.DataFrame:
    return frame.assign(**names)[[*names, *frame.columns]]
