import subprocess
import sys
from pathlib import Path

import pytest

from synthworth import fingerprint as module


@pytest.fixture
def package(tmp_path, monkeypatch):
    root = tmp_path / "synthworth"
    (root / "generators").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "generators" / "__init__.py").write_text("from synthworth.seeds import seed\n")
    (root / "generators" / "ddpm.py").write_text('"""Doc."""\nimport numpy\n\ndef f():\n    """Doc."""\n    return 1\n')
    (root / "seeds.py").write_text("def seed():\n    return 1\n")
    (root / "tables.py").write_text("x = 1\n")
    (root / "lazy.py").write_text("def f():\n    from synthworth import tables\n    return tables.x\n")
    monkeypatch.setattr(module, "PACKAGE", root)

    def fingerprint(*modules):
        for function in (module.fingerprint, module._digest, module._imports):
            function.cache_clear()
        return module.fingerprint(*modules)

    yield root, fingerprint
    for function in (module.fingerprint, module._digest, module._imports):
        function.cache_clear()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_comments_docstrings_and_layout_do_not_count(package):
    root, fingerprint = package
    before = fingerprint("generators.ddpm")
    edit(root / "generators" / "ddpm.py", '"""Doc."""', '"""Another."""\n\n# A comment.')
    assert fingerprint("generators.ddpm") == before


def test_code_counts(package):
    root, fingerprint = package
    before = fingerprint("generators.ddpm")
    edit(root / "generators" / "ddpm.py", "return 1", "return 2")
    assert fingerprint("generators.ddpm") != before


def test_what_the_package_around_a_module_imports_counts(package):
    root, fingerprint = package
    before = fingerprint("generators.ddpm")
    edit(root / "seeds.py", "return 1", "return 2")
    assert fingerprint("generators.ddpm") != before


def test_imports_inside_functions_count(package):
    root, fingerprint = package
    before = fingerprint("lazy")
    edit(root / "tables.py", "x = 1", "x = 2")
    assert fingerprint("lazy") != before


def test_the_script_counts(package):
    root, fingerprint = package
    (root.parent / "train.py").write_text("f(1, 2)\n")

    def both():
        for function in (module.fingerprint, module._digest, module._imports):
            function.cache_clear()
        return module.fingerprint("seeds", script="train"), module.fingerprint("seeds")

    before = both()
    edit(root.parent / "train.py", "1, 2", "2, 1")
    after = both()
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_other_modules_do_not_count(package):
    root, fingerprint = package
    before = fingerprint("generators.ddpm")
    edit(root / "tables.py", "x = 1", "x = 2")
    assert fingerprint("generators.ddpm") == before


def test_an_unknown_module_is_an_error(package):
    _, fingerprint = package
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        fingerprint("no_such")


def test_contents_count_and_file_times_do_not(tmp_path):
    page = tmp_path / "page.j2"
    page.write_text("a")
    before = module.contents(page)
    page.touch()
    assert module.contents(page) == before
    page.write_text("b")
    assert module.contents(page) != before


def test_the_same_in_every_process():
    script = "from synthworth.fingerprint import fingerprint; print(fingerprint('generators.ddpm', 'generators'))"
    scripts = Path(module.__file__).parents[1]
    runs = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=scripts,
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        for hash_seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout != ""
