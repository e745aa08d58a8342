"""The house keeps its own rules: floors, confinement, sizes, docstrings, recipes, READMEs and the glossary."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "rlvr"
SOURCES = sorted(PACKAGE.rglob("*.py"))

FLOORS = {
    "types": 0, "errors": 0, "keyed": 0, "config": 0, "statistics": 0,
    "data": 1, "verifiers": 1, "algorithms": 1, "runs": 1,
    "models": 2, "engines": 2,
    "training": 3,
    "stages": 4, "cluster": 4,
    "app": 5,
}  # fmt: skip
GROUND = {"types", "errors", "keyed"}
TORCH_FREE = {"types", "errors", "keyed", "config", "statistics", "data", "verifiers", "runs"}
CONFINED = {
    "pydantic": ("config/",),
    "rich": ("app/", "runs/summary.py"),
    "math_verify": ("verifiers/",),
    "datasets": ("data/hub.py",),
    "reasoning_gym": ("data/gym.py", "verifiers/gym_worker.py"),
    "tensorboard": ("runs/sinks.py",),
    "wandb": ("runs/sinks.py",),
    "matplotlib": ("runs/page/",),
    "jinja2": ("data/chat.py", "runs/page/"),
    "ray": ("cluster/",),
    "vllm": ("engines/vllm.py",),
    "openai": ("verifiers/judge/",),
    "pyseccomp": ("verifiers/sandbox/policy.py",),
    "requests": (),
    "httpx": (),
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
SKIPPED_FOLDERS = {
    ".git",
    ".venv",
    ".ruff_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".hypothesis",
    "runs",
    "build",
    "dist",
}
TEXT_ENDINGS = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ""}


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    """The room of a file; "" for the package's own __init__."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, full dotted name) of everything that a file imports, wherever in the file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def text_files() -> Iterator[Path]:
    for folder, inner, names in os.walk(ROOT):
        skipped = SKIPPED_FOLDERS if Path(folder) == ROOT else {".git", ".venv", "__pycache__"}
        inner[:] = sorted(set(inner) - skipped)  # What stands here is walked into.
        paths = [Path(folder, name) for name in sorted(set(names) - skipped)]
        yield from (path for path in paths if path.is_file() and path.suffix in TEXT_ENDINGS)


def test_imports_go_down_only() -> None:
    wrong = []
    for path in SOURCES:
        here = room(path)
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] != "rlvr" or len(parts) < 2 or parts[1] not in FLOORS:
                continue
            there = parts[1]
            down = here != "" and FLOORS[there] < FLOORS[here]
            if not (down or there == here or (there in GROUND and here != "")):
                wrong.append(f"{relative(path)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_every_room_has_a_floor() -> None:
    rooms = {room(path) for path in SOURCES} - {""}
    assert rooms <= set(FLOORS), rooms - set(FLOORS)


def test_torch_stays_out_of_the_torch_free_rooms() -> None:
    heavy = {"torch", "transformers", "tokenizers", "safetensors"}
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in SOURCES
        if room(path) in TORCH_FREE | {""}
        for line, name in imports(path)
        if name.split(".")[0] in heavy
        and not (relative(path) == "runs/sinks.py" and name.startswith("torch.utils.tens"))
    ]
    assert not wrong, "\n".join(wrong)


def test_third_parties_stay_in_their_rooms() -> None:
    wrong = [
        f"{relative(path)}:{line} imports {name}"
        for path in SOURCES
        for line, name in imports(path)
        if name.split(".")[0] in CONFINED and not relative(path).startswith(CONFINED[name.split(".")[0]] or ("-",))
    ]
    assert not wrong, "\n".join(wrong)


def modules_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after running `code`."""
    program = f"{code}\nimport sys, json\nprint(chr(10) + json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not modules_after("import rlvr") & {"torch", "transformers", "numpy", "pydantic", "rich"}


def test_help_loads_nothing_heavy() -> None:
    code = "from rlvr.app.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert not modules_after(code) & {"torch", "transformers", "numpy", "pydantic", "rich", "scipy"}


@pytest.mark.parametrize("module", ["verifiers.scorer", "data.sources", "runs.folder", "config.reading", "app.plan"])
def test_torch_free_rooms_load_no_torch(module: str) -> None:
    assert not modules_after(f"import rlvr.{module}") & {"torch", "transformers", "reasoning_gym", "datasets"}


def test_files_and_functions_stay_short() -> None:
    wrong = []
    for path in SOURCES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_FILE_LINES:
            wrong.append(f"{relative(path)} has {lines} lines")
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    wrong.append(f"{relative(path)}:{node.lineno} {node.name} has {length} lines")
    assert not wrong, "\n".join(wrong)


def test_what_is_public_has_a_docstring() -> None:
    wrong = []
    for path in SOURCES:
        module = tree(path)
        if not ast.get_docstring(module):
            wrong.append(relative(path))
        wrong += [f"{relative(path)}:{line} {name}" for line, name in undocumented(module.body, "")]
    assert not wrong, "\n".join(wrong)


def undocumented(body: list[ast.stmt], prefix: str) -> Iterator[tuple[int, str]]:
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        overload = isinstance(node, ast.FunctionDef) and any(
            isinstance(mark, ast.Name) and mark.id == "overload" for mark in node.decorator_list
        )
        if not ast.get_docstring(node) and not overload:
            yield node.lineno, prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from undocumented(node.body, f"{node.name}.")


def test_package_files_hold_a_docstring_only() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        allowed = 2 if path.parent == PACKAGE else 1
        assert len(tree(path).body) <= allowed, relative(path)


def test_no_file_is_a_drawer_for_everything() -> None:
    names = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [relative(path) for path in SOURCES if path.stem in names]


def test_no_class_inherits_from_ours_but_errors_and_sections_of_a_recipe() -> None:
    ours = {node.name for path in SOURCES for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)}
    wrong = []
    for path in SOURCES:
        if relative(path) == "errors.py" or relative(path).startswith("config/"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                if bases & ours and not node.name.endswith("Error"):
                    wrong.append(f"{relative(path)}:{node.lineno} {node.name}")
    assert not wrong, "\n".join(wrong)


def test_nothing_names_a_machine_or_leaves_work_undone() -> None:
    words = ["/wo" "rk/", "/ro" "ot/", "TO" "DO", "FIX" "ME", "NotImplemented" "Error", "sub" "agent"]  # fmt: skip
    wrong = []
    for path in text_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        wrong += [f"{path.relative_to(ROOT)}: {word}" for word in words if re.search(rf"(?<![\w.]){word}", text)]
    assert not wrong, "\n".join(wrong)


def test_recipes_parse_and_their_algorithms_exist() -> None:
    from rlvr.algorithms.presets import resolve
    from rlvr.config.reading import read_recipe
    from rlvr.config.rlvr import RlvrConfig

    recipes = sorted((ROOT / "recipes").glob("*.toml"))
    assert recipes
    for path in recipes:
        for stage in read_recipe(path).recipe.stage:
            if isinstance(stage, RlvrConfig):
                resolve(stage.algorithm.preset, **stage.algorithm.cells)


def readme(name: str) -> str:
    path = ROOT / name
    if not path.is_file():
        pytest.skip(f"{name} is not written yet")
    return path.read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The commands of all indented and fenced blocks, without comments."""
    lines = [re.sub(r"\s+#.*$", "", line).strip().removeprefix("$ ") for line in code_lines(text)]
    return [line for line in lines if line.split(" ")[0] in {"make", "rlvr", "pip", "git", "cd", "python"}]


def code_lines(text: str) -> Iterator[str]:
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield line


def test_both_readmes_give_the_same_commands() -> None:
    assert commands(readme("README.md")) == commands(readme("README.zh-CN.md"))


def test_commands_of_the_documentation_exist() -> None:
    from rlvr.app.verbs import VERBS

    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    pages = [ROOT / "README.zh-CN.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = commands(readme("README.md"))
    assert any(line.startswith("make demo") for line in found)
    found += [line for page in pages for line in commands(page.read_text(encoding="utf-8"))]
    for line in found:
        words = line.removeprefix(".venv/bin/").split()
        if words[0] == "make":
            assert words[1] in targets, line
        elif words[0] == "rlvr":
            assert words[1] in VERBS or words[1].startswith("--"), line
            for word in words:
                if word.startswith("recipes/") and word.endswith(".toml"):
                    assert (ROOT / word).is_file(), line


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/suites.md"])
def test_the_checkpoints_that_the_readme_names_are_those_of_the_demo(name: str) -> None:
    from rlvr.config.reading import read_recipe
    from rlvr.config.rlvr import RlvrConfig

    stages = read_recipe(ROOT / "recipes" / "laptop.toml").recipe.stage
    last = {
        stage.folder(number): stage.steps
        for number, stage in enumerate(stages, start=1)
        if isinstance(stage, RlvrConfig)
    }
    named = re.findall(r"runs/demo/([^/\s]+)/checkpoints/step-(\d{6})", readme(name))
    assert named
    assert [(folder, int(step)) for folder, step in named if last.get(folder) != int(step)] == []


def test_every_dependency_has_a_decision() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    names = {re.split(r"[\[<>=~! ]", line, maxsplit=1)[0] for line in listed}
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "decisions").glob("*.md"))
    missing = sorted(name for name in names if f"`{name}`" not in text)
    assert not missing, missing


def metric_names() -> Iterator[tuple[str, str]]:
    """(place, name) of every metric that is written: literal names, and those that are put together.

    A name that ends in {…} stands for one metric a domain; the sums of a loss become train/NAME, the counts of a judge
    judge/NAME.
    """
    from rlvr.verifiers.judge.counts import Counts

    yield from (("verifiers/scorer.py", f"judge/{name}") for name in Counts().totals())
    literal = re.compile(r"(train|rollout|candidates|eval|time|memory)/[a-z0-9_]+")
    for path in SOURCES:
        if room(path) not in {"stages", "training", "runs"} or relative(path) == "runs/glossary.py":
            continue
        for node in ast.walk(tree(path)):
            place = f"{relative(path)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and literal.fullmatch(node.value):
                yield place, node.value
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                start = str(node.values[0].value)
                if literal.fullmatch(start.rstrip("/")) and start.endswith("/"):
                    yield place, start + "DOMAIN"
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                yield from ((place, f"train/{name}") for name in summed_names(node))


def summed_names(node: ast.Assign | ast.AnnAssign) -> Iterator[str]:
    """The names in `sums = {"name": …}`, `stats = {…}` and `sums["name"] = …`."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name) and target.id in {"sums", "stats"} and isinstance(node.value, ast.Dict):
            keys = node.value.keys
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == "sums":
            keys = [target.slice]
        else:
            continue
        yield from (k.value for k in keys if isinstance(k, ast.Constant) and re.fullmatch("[a-z0-9_]+", str(k.value)))


def test_every_metric_is_in_the_glossary() -> None:
    from rlvr.runs.glossary import GLOSSARY

    found = list(metric_names())
    assert {"train/loss", "train/kl", "rollout/outcome_mean", "time/step_seconds"} <= {name for _, name in found}
    assert not [f"{place} {name}" for place, name in found if name not in GLOSSARY]


def test_the_glossary_names_no_metric_that_is_not_written() -> None:
    from rlvr.runs.glossary import GLOSSARY

    assert set(GLOSSARY) <= {name for _, name in metric_names()}


def test_the_words_of_the_makefile_are_the_ones_of_the_house() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"setup", "demo", "test", "check", "bench", "docs"} <= targets
