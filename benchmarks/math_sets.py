"""The labelled and hostile rows in the shared folder that the mathematics benchmarks read."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.verifiers.extract import balanced


@dataclass(frozen=True, slots=True)
class Row:
    """A reference, a completion and whether it is right; None where nobody has labelled it."""

    id: str
    reference: str
    completion: str
    label: bool | None


@dataclass(frozen=True, slots=True)
class Set:
    """Rows of one kind, with the place where their answers stand."""

    name: str
    rows: Sequence[Row]
    slot: str = "boxed"


LABELLED = {
    "gsm8k_model_solutions_boxed": ("data/labelled/gsm8k_model_solutions_boxed.jsonl.gz", "boxed"),
    "gsm8k_model_solutions": ("data/labelled/gsm8k_model_solutions.jsonl.gz", "marked"),
    "math500_gold_self": ("data/labelled/math500_gold_self.jsonl", "boxed"),
    "math500_solution_self": ("data/labelled/math500_solution_self.jsonl", "boxed"),
    "math500_mismatch": ("data/labelled/math500_mismatch.jsonl", "boxed"),
    "math_variants": ("corpora/math_variants.jsonl.gz", "boxed"),
}
"""Each set's file in the shared folder and its slot."""


def read(path: Path) -> list[dict[str, Any]]:
    """Gives the rows of a file of JSON lines, plain or .gz."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def labelled(shared: Path, name: str) -> Set:
    """Gives the set of that name in LABELLED."""
    file, slot = LABELLED[name]
    rows = [Row(str(row["id"]), row["gold"], row["pred"], row["label"]) for row in read(shared / file)]
    return Set(name, rows, slot)


def long_solutions(shared: Path) -> Iterator[Set]:
    """Gives long chains of thought: the official solutions of the MATH test set, and ToRA's outputs, unlabelled."""
    solutions = read(shared / "data" / "math_test_5000.jsonl.gz")
    rows = [Row(str(row["idx"]), last_box(row["solution"]), row["solution"], True) for row in solutions]
    yield Set("math_test_solutions", rows)
    outputs = read(shared / "data" / "tora70b_gsm8k_outputs.jsonl.gz")
    yield Set("tora_gsm8k", [Row(str(row["idx"]), str(row["gt"]), row["code"][0], None) for row in outputs])


def last_box(solution: str) -> str:
    """Gives what stands in the last box of a reference solution."""
    start = solution.rfind("\\boxed")
    rest = solution[start + len("\\boxed") :].lstrip()
    if not rest.startswith("{"):
        return rest[:1]
    ends = (end for end in range(1, len(rest) + 1) if rest[end - 1] == "}" and balanced(rest[:end]))
    return rest[1 : next(ends) - 1]


def hostile(shared: Path, canary: Path) -> tuple[Set, Set]:
    """Gives the firm and the policy-dependent rows of `math_answers`; what executes one makes a file in `canary`."""
    found: dict[bool, list[Row]] = {False: [], True: []}
    for row in read(shared / "corpora" / "math_answers.jsonl"):
        completion = expanded(row["completion"]).replace("{{CANARY}}", str(canary))
        found[row["policy_dependent"]].append(Row(row["id"], row["gold"], completion, row["expected"]))
    return Set("math_answers, firm", found[False]), Set("math_answers, policy-dependent", found[True])


def expanded(completion: Any) -> str:
    """Gives the text of a completion of `math_answers`, where long ones are written as parts with repeats."""
    if isinstance(completion, str):
        return completion
    pieces = []
    for part in completion["parts"]:
        if isinstance(part, str):
            pieces.append(part)
        elif "repeat" in part:
            pieces.append(part["repeat"][0] * part["repeat"][1])
        else:
            template, count, modulo, separator = part["numbers"]
            pieces.append(separator.join(template.replace("N", str(place % modulo)) for place in range(count)))
    return "".join(pieces)
