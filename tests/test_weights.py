import hashlib
import json

from synthworth.weights import record_weights


def test_weights_are_on_record_by_name_and_content(tmp_path):
    (tmp_path / "inception.pt").write_bytes(b"weights")
    record_weights([str(tmp_path / "inception.pt")], str(tmp_path / "record.json"))
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {"inception.pt": hashlib.sha256(b"weights").hexdigest()}
