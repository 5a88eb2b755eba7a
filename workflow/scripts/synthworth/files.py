"""Writing files so that nothing is ever half-written: under a temporary name, then renamed."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; what is written there (a file or a folder) becomes `path` at the end.

    The temporary name keeps the suffixes, for libraries that choose a format by them. On an error `path` is as it
    was and the temporary file or folder is removed; what was under the temporary name before is removed first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".incomplete-{path.name}")
    remove(temporary)
    try:
        yield temporary
        # A folder cannot be renamed onto one that holds files.
        if path.is_dir():
            remove(path)
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Removes a file or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
