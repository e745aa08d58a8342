"""The verifier in the READMEs is the one of examples/own_verifier."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

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
