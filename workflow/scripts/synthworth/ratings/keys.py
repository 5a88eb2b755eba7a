"""What the items of a kit are: the study's own open keys, and sealed ones of kits that it no longer has the key of."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from synthworth.rating_kit.seal import unseal
from synthworth.ratings.scales import REAL


def read_keys(
    open_keys: Iterable[str | Path], sealed_keys: Iterable[str | Path], passphrase: str
) -> dict[str, pd.DataFrame]:
    """{kit: key}: the open keys (CSV), and the sealed ones of kits handed out, which `passphrase` opens.

    A key has the text columns `kit, mode, item, side, file, source, class, identity, prompt, repeats`, a row per image
    shown. StudyError where a key cannot be opened.
    """
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in open_keys]
    frames += [unseal(path, passphrase) for path in sealed_keys]
    return {frame["kit"].iloc[0]: frame for frame in frames}


def items_of(key: pd.DataFrame) -> pd.DataFrame:
    """What is rated in a kit, a row per item in the order of the kit: the columns of an image's row in the key and

    - of a pair, whose row is that of the synthetic image, `against`, the identity of the real one, and `sign`: what a
      preference is multiplied by, so that it is positive where the real image is preferred;
    - else `against` empty and `sign` 1.
    """
    if key["mode"].iloc[0] != "pair":
        return key.assign(against="", sign=1).reset_index(drop=True)
    real = key[key["source"] == REAL].set_index("item")
    items = key[key["source"] != REAL]
    on_right = items["item"].map(real["side"]) == "right"
    return items.assign(
        against=items["item"].map(real["identity"]), sign=on_right.map({True: 1, False: -1})
    ).reset_index(drop=True)
