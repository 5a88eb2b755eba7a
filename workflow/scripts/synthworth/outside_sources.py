"""Images that someone else made, as they lie on the disk: a folder with a sub-folder per class, or Parquet files.

The Snakefile lists them while it is parsed: nothing heavy is imported before Parquet files are read.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Images that are in memory at once, as encoded bytes.
BATCH = 256


@dataclass(frozen=True)
class OutsideImage:
    """One image: its place in the source for messages (file, or file and row), and its file or the bytes of one.

    `suffix` is that of its file, also where only the bytes are there.
    """

    place: str
    suffix: str
    file: Path | None = None
    data: bytes | None = None

    def read(self) -> bytes:
        """The bytes of the image's file. ValueError where there are none, OSError where they cannot be read."""
        if self.file is not None:
            return self.file.read_bytes()
        if self.data is None:
            raise ValueError("a path without bytes; write the Parquet file anew with the images' bytes in it")
        return self.data


@dataclass(frozen=True)
class OutsideClass:
    """The images of a class in a source: how many, and in batches, in a fixed order.

    `problems` are what keeps the source from being read, `ignored` what is passed over: labels that are no class of
    the study, files that belong to none.
    """

    count: int = 0
    batches: Iterator[list[OutsideImage]] = iter(())
    problems: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def source_files(source: str | Path, names: Collection[str] = ()) -> list[Path]:
    """The files of a source, sorted: its Parquet files where there are any, else those of its sub-folders.

    `names`: of sub-folders only those with these names, so that a class's images are listed alone. Hidden files are
    left out. A source that is not there has no files.
    """
    source = Path(source)
    if source.is_file():
        return [source]
    wanted = {_composed(name) for name in names}
    folders = [path for path in _visible(source) if path.is_dir() and (not wanted or _composed(path.name) in wanted)]
    return _parquet_files(source) or [path for folder in folders for path in _visible(folder) if path.is_file()]


def find_class(source: str | Path, name: str, classes: Mapping[str, str]) -> OutsideClass:
    """The images of the class `name`; `classes` is {name: label}.

    A folder's sub-folders, or the values of a Parquet file's column `label`, are a class's name or its label. A
    Parquet file is in Hugging Face's layout: `image` of bytes or of {bytes, path}, `label` of text or of numbers
    (`ClassLabel`) whose names stand in the file.
    """
    source = Path(source)
    belongs = {_composed(label): name for name, label in classes.items()} | {_composed(name): name for name in classes}
    if not source.exists():
        return OutsideClass(problems=[f"{source}: there is no such file or folder; correct the path"])
    files = _parquet_files(source) if source.is_dir() else [source]
    called = " or ".join(f"`{text}`" for text in dict.fromkeys([name, classes[name]]))
    if files:
        return _find_rows(source, files, name, belongs, called)
    return _find_files(source, name, belongs, called)


class _LayoutError(ValueError):
    """A Parquet file without the columns that are looked for: `problem; remedy`."""


def _find_files(source: Path, name: str, belongs: Mapping[str, str], called: str) -> OutsideClass:
    entries = _visible(source)
    folders = [path for path in entries if path.is_dir()]
    own = [path for path in folders if belongs.get(_composed(path.name)) == name]
    files = [path for folder in own for path in _visible(folder)]
    problems = [
        f"{_place(path, source)}: a folder within a class's folder; move its images up, or remove it"
        for path in files
        if path.is_dir()
    ]
    if not own:
        there = ", ".join(f"`{path.name}`" for path in folders) or "none"
        problems.append(f"{source}: no sub-folder is called {called} (there are: {there}); rename or add one")
    others = [f"{path.name}/" for path in folders if _composed(path.name) not in belongs]
    images = [OutsideImage(_place(path, source), path.suffix, file=path) for path in files if not path.is_dir()]
    batches = (images[first : first + BATCH] for first in range(0, len(images), BATCH))
    return OutsideClass(len(images), batches, problems, others + [path.name for path in entries if not path.is_dir()])


def _find_rows(source: Path, files: list[Path], name: str, belongs: Mapping[str, str], called: str) -> OutsideClass:
    # Of the packages that the Snakefile's environment need not have.
    import pyarrow
    import pyarrow.parquet as parquet

    rows: dict[Path, list[int]] = {}
    problems = []
    labels: Counter[str] = Counter()
    for path in files:
        try:
            file = parquet.ParquetFile(path)
            own = _row_labels(file)
        except _LayoutError as error:
            problems.append(f"{_place(path, source)}: {error}")
            continue
        except (OSError, pyarrow.ArrowException) as error:
            problems.append(
                f"{_place(path, source)}: cannot be read as Parquet ({error}); copy it again, or give a folder with a "
                "sub-folder of images per class"
            )
            continue
        labels.update(own)
        rows[path] = [row for row, label in enumerate(own) if belongs.get(_composed(label)) == name]
    count = sum(len(own) for own in rows.values())
    if not count and not problems:
        there = ", ".join(f"`{label}`" for label in labels) or "none"
        problems.append(f"{source}: no row has the label {called} (there are: {there}); write the class's name there")
    others = {label or "(empty)": count for label, count in labels.items() if _composed(label) not in belongs}
    ignored = [f"label {label}: {count} rows" for label, count in others.items()]
    return OutsideClass(count, _read_rows(source, rows), problems, ignored)


def _row_labels(file: Any) -> list[str]:
    """The label of each row as text, empty where there is none; _LayoutError where the layout is another."""
    from pyarrow import types

    schema = file.schema_arrow
    missing = [column for column in ("image", "label") if column not in schema.names]
    if missing:
        raise _LayoutError(f"no column `{'` and `'.join(missing)}` (columns: {', '.join(schema.names)}); rename them")
    kind = schema.field("image").type
    kind = kind.field("bytes").type if types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    if not (types.is_binary(kind) or types.is_large_binary(kind)):
        raise _LayoutError(f"column `image` is {kind}, not bytes or {{bytes, path}}; write the images' files into it")
    labels = file.read(columns=["label"]).column("label").to_pylist()
    if types.is_integer(schema.field("label").type):
        names = _label_names(schema.metadata or {})
        if names is None:
            raise _LayoutError("column `label` holds numbers without their names; write names, or a `ClassLabel`")
        labels = [names[label] if label is not None and 0 <= label < len(names) else "" for label in labels]
    return ["" if label is None else str(label) for label in labels]


def _label_names(metadata: Mapping[bytes, bytes]) -> list[str] | None:
    """The names of a `ClassLabel`'s numbers, as Hugging Face's `datasets` writes them into the schema."""
    try:
        return json.loads(metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    except (KeyError, TypeError, ValueError):
        return None


def _read_rows(source: Path, rows: Mapping[Path, list[int]]) -> Iterator[list[OutsideImage]]:
    import pyarrow.parquet as parquet

    for path, own in rows.items():
        wanted = set(own)
        first = 0
        for batch in parquet.ParquetFile(path).iter_batches(BATCH, columns=["image"]) if own else ():
            images = []
            for row, image in enumerate(batch.column("image"), first):
                if row in wanted:
                    value = image.as_py()
                    file = value if isinstance(value, dict) else {"bytes": value}
                    suffix = Path(file.get("path") or "").suffix
                    images.append(OutsideImage(f"{_place(path, source)}, row {row}", suffix, data=file["bytes"]))
            first += len(batch)
            yield images


def _place(path: Path, source: Path) -> str:
    return path.name if path == source else path.relative_to(source).as_posix()


def _parquet_files(folder: Path) -> list[Path]:
    files = folder.rglob("*.parquet")
    return sorted(path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []


def _composed(text: str) -> str:
    """macOS writes the accents of file names in another Unicode form than most else."""
    return unicodedata.normalize("NFC", text)
