"""The verifier in the READMEs is the one of examples/own_verifier; what docs/own-model.md shows runs as it stands."""

import json
import re
import runpy
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from rlvr.app.importing import import_from
from rlvr.app.preflight import check_verifiers, import_path, preflight
from rlvr.app.wiring import load_items
from rlvr.config.reading import read_recipe
from rlvr.types import Completion, Task, read_only

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_verifier"


def code_of(readme: str) -> tuple[str, str]:
    """The code block that begins with "# letters.py", and the one that begins with "# tasks.jsonl"."""
    text = (ROOT / readme).read_text(encoding="utf-8")
    block = text.partition("    # letters.py\n")[2].partition("\n## ")[0]
    code = "\n".join(line.removeprefix("    ") for line in block.splitlines())
    letters, _, tasks = code.partition("# tasks.jsonl\n")
    return letters, tasks


def verdict(count: Any, reference: Any, text: str) -> Any:
    task = Task("t", ({"role": "user", "content": "?"},), reference, "letters:count", "test", "test")
    none = read_only([], "int64"), read_only([], "float32"), read_only([], "bool")
    return count(task, Completion(*none, text, "stop", 0))


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_verifier_of_the_readme_judges_as_the_example_does(readme: str) -> None:
    letters, tasks = code_of(readme)
    row = json.loads(tasks)
    names: dict[str, Any] = {}
    exec(letters, names)
    example = runpy.run_path(str(EXAMPLE / "letters.py"))["count"]
    for text in ("", "a", "Banana", "aaaa", "no"):
        here, there = (verdict(count, row["reference"], text) for count in (names["count"], example))
        assert (here.outcome, here.status) == (there.outcome, there.status), text
    rows = [json.loads(line) for line in (EXAMPLE / "tasks.jsonl").read_text().splitlines()]
    assert row in [{key: value for key, value in one.items() if key != "id"} for one in rows]


def blocks(page: str) -> list[str]:
    """The indented blocks of a page."""
    found = re.findall(r"(?:^    .*\n|^\n(?=    ))+", page, flags=re.MULTILINE)
    return [textwrap.dedent(block).strip() for block in found if block.strip()]


def test_the_recipe_rows_and_verifier_of_the_page_on_own_models_fit_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = blocks((ROOT / "docs" / "own-model.md").read_text(encoding="utf-8"))
    (rows,) = [block for block in shown if block.startswith('{"prompt"')]
    (code,) = [block for block in shown if block.startswith("from rlvr.types import Verdict")]
    (recipe,) = [block for block in shown if block.startswith('name = "mine"')]
    (tmp_path / "checks.py").write_text(code)
    row = json.loads(rows.splitlines()[1])
    counted = [{**row, "prompt": row["prompt"].replace("3 times", f"{n} times")} for n in range(60)]
    (tmp_path / "rows.jsonl").write_text("\n".join([rows, *map(json.dumps, counted)]))
    (tmp_path / "mine.toml").write_text(recipe.replace('"MODEL"', json.dumps(str(ROOT / "models" / "laptop-base"))))
    monkeypatch.chdir(tmp_path)
    resolved = read_recipe(Path("mine.toml"))
    import_from(tmp_path)
    preflight(resolved.recipe)
    (stage,) = resolved.recipe.stage
    assert resolved.recipe.evaluation is not None
    held_out, tasks = (load_items("task", data) for data in (resolved.recipe.evaluation.data, stage.data))
    assert len(held_out) + len(tasks) == 62
    assert {task.verifier for task in (*held_out, *tasks)} == {"math", "checks:count"}
    check_verifiers({"checks:count"}, resolved.recipe)
    count = import_path("checks:count", "the verifier")
    assert verdict(count, row["reference"], "a banana").outcome == 0.0
    assert verdict(count, row["reference"], "banana").outcome == 1.0
