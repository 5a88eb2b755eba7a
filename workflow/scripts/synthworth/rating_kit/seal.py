"""The sealed key of a kit: it goes with the kit to the readers, and says nothing without the passphrase.

AES-SIV (RFC 5297) under a key that scrypt (RFC 7914) makes of the passphrase, salted by the kit's id. It needs no
nonce: the same key, kit and passphrase give the same bytes.
"""

import base64
import hashlib
import io
from pathlib import Path

import pandas as pd
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from synthworth.errors import StudyError
from synthworth.rating_kit import KEY

TITLE = "Sealed key of rating kit "
# 16 MB and a tenth of a second for each guess at the passphrase.
COST = {"n": 2**14, "r": 8, "p": 1}


def seal(key: pd.DataFrame, passphrase: str) -> str:
    """The text of a sealed key: a line that names the kit, then a line of base64.

    `key` is as in key.csv, with the kit's id in its column `kit`.
    """
    kit = key["kit"].iloc[0]
    content = key.to_csv(index=False, lineterminator="\n").encode()
    sealed = base64.b64encode(_cipher(kit, passphrase).encrypt(content, [kit.encode()])).decode()
    return f"{TITLE}{kit}\n{sealed}\n"


def unseal(path: str | Path, passphrase: str) -> pd.DataFrame:
    """The key that is sealed in a kit, all columns as text, empty fields as empty text.

    `path` is that of the kit's folder, as it was handed out, or of the file in it. StudyError where there is none, or
    the passphrase is not the one it was sealed with.
    """
    path = Path(path)
    path = path / KEY if path.is_dir() else path
    if not path.is_file():
        raise StudyError("There is no sealed key.", [f"{path}: give the folder of a kit as it was handed out"])
    try:
        title, sealed = path.read_text(encoding="ascii").splitlines()
        content = base64.b64decode(sealed, validate=True)
        known = title.startswith(TITLE)
    except ValueError:
        known = False
    if not known:
        raise StudyError("A sealed key cannot be read.", [f"{path}: damaged, or no such key; copy it again"])
    kit = title.removeprefix(TITLE)
    try:
        opened = _cipher(kit, passphrase).decrypt(content, [kit.encode()])
    except InvalidTag:
        problem = (
            f"{path}: set `assessment.passphrase` to the one that kit {kit} was made with (where it was null, it hangs "
            "on the study's name and `seeds.study`); or the file is damaged"
        )
        raise StudyError("A sealed key cannot be opened.", [problem]) from None
    return pd.read_csv(io.BytesIO(opened), dtype=str, keep_default_na=False)


def _cipher(kit: str, passphrase: str) -> AESSIV:
    return AESSIV(hashlib.scrypt(passphrase.encode(), salt=kit.encode(), dklen=64, **COST))
