"""Fingerprints of code: what a job's module and everything it imports from this package say, comments aside.

Snakemake does not see edits in modules that a script imports. A rule that carries `params: code=fingerprint(...)`
is rerun when, and only when, code that it executes has changed.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
NAME = PACKAGE.name


@cache
def fingerprint(*modules: str, script: str | None = None) -> str:
    """Hash of the modules (dotted, within the package: `generators.ddpm`) and of all they import from the package,
    and of the rule's `script` beside the package, by its name.

    Docstrings, comments and layout do not count. Imports inside functions do; imports by string do not.
    """
    found = {f"{script}.py": _digest(PACKAGE.parent / f"{script}.py")} if script else {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module] = _digest(_path(module))
            waiting.extend(_imports(module))
    return hashlib.sha256("".join(f"{name}{found[name]}" for name in sorted(found)).encode()).hexdigest()[:16]


def contents(*files: Path) -> str:
    """Hash of the contents of files that are no code (templates, captions); file times do not count."""
    return hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in sorted(files))).hexdigest()[:16]


@cache
def _digest(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _imports(module: str) -> frozenset[str]:
    """The package's own modules that `module` imports, and the packages it lies in."""
    names = {module.rpartition(".")[0]} if "." in module else set()
    for node in ast.walk(ast.parse(_path(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.removeprefix(f"{NAME}.") for alias in node.names if alias.name.startswith(f"{NAME}.")}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").split(".")[0] == NAME:
            base = node.module.removeprefix(NAME).removeprefix(".")
            # `from synthworth.generators import ddpm` names a module, `from synthworth.seeds import seed` a function.
            names |= {base} | {f"{base}.{alias.name}".removeprefix(".") for alias in node.names}
    return frozenset(name for name in names if name and _exists(name))


def _exists(module: str) -> bool:
    base = PACKAGE.joinpath(*module.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def _path(module: str) -> Path:
    base = PACKAGE.joinpath(*module.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    if (base / "__init__.py").is_file():
        return base / "__init__.py"
    raise ModuleNotFoundError(f"no module {NAME}.{module} in {PACKAGE}")
