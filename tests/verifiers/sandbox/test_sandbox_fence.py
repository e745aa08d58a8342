import time

import pytest

from rlvr.verifiers.sandbox import fence

CODE = "def f(x):\n    return x\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (CODE, CODE),
        (f"```python\n{CODE}```", CODE),
        (f"```py\n{CODE}```\n", CODE),
        (f"```Python3\n{CODE}```", CODE),
        (f"```{{.python}}\n{CODE}```", CODE),
        (f"```python title=a.py\n{CODE}```", CODE),
        (f"```\n{CODE}```", CODE),
        (f"~~~python\n{CODE}~~~", CODE),
        (f"````python\n{CODE}````", CODE),
        (f"Here it is:\n\n```python\n{CODE}```\nIt returns x.", CODE),
        (f"```python\n1\n```\nbetter:\n```python\n{CODE}```", CODE),
        (f"```python\n{CODE}```\nIt prints\n```\n3\n```", CODE),
        (f"```python\n{CODE}```\nRun it:\n```bash\npython a.py\n```", CODE),
        (f"```python\n{CODE}", CODE),
        (f"````python\n{CODE}```\n# still inside\n````", f"{CODE}```\n# still inside\n"),
        ("x = '''\n    ```python\n    '''\n", "x = '''\n    ```python\n    '''\n"),
        ("x = '```python'", "x = '```python'"),
        (f"```python\r\n{CODE}```", CODE),
    ],
)
def test_the_program_is_the_last_block_of_python_or_the_whole_text(text: str, program: str) -> None:
    assert fence.program(text) == (program, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", ""),
        (" \n ", ""),
        ("```python\n```", ""),
        ("```javascript\nlet x = 1\n```", "the code block is javascript; only Python is run"),
        ("```c++\nint x;\n```\n```rust\nfn f() {}\n```", "the code block is rust; only Python is run"),
        ("x" * 1_000_001, "the answer has 1000001 characters; at most 1000000 are read"),
        ("x = '\ud800'", "the program has a lone surrogate"),
    ],
)
def test_what_holds_no_program_is_told_in_words(text: str, reason: str) -> None:
    assert fence.program(text) == ("", reason)


@pytest.mark.parametrize(
    "text",
    [
        "`" * 900_000,
        "~" * 900_000 + "`",
        "```" + " " * 900_000 + "`",
        "```" + "\t" * 900_000 + "x`",
        "```\n" * 200_000,
        "```python\n" * 90_000,
        " ```" * 200_000,
        "\n" * 900_000,
        "~~~ " * 200_000,
        "from __future__ import " + "a," * 400_000 + "(",
    ],
)
def test_a_hostile_text_is_read_in_time(text: str) -> None:
    start = time.thread_time()
    fence.program(text)
    fence.after("x", text)
    assert time.thread_time() - start < 5


def test_what_the_prompt_gives_stands_before_the_program_and_future_imports_before_both() -> None:
    assert fence.after("", "x = 1") == "x = 1"
    assert fence.after("import math", "x = math.pi") == "import math\nx = math.pi"
    joined = fence.after("import math", "from __future__ import annotations\nx = math.pi\n")
    assert joined == "from __future__ import annotations\nimport math\n\nx = math.pi\n"
    compile(joined, "joined", "exec")
