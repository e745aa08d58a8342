"""Prints how far the instruction constraints agree with IFBench's published results, and why where they do not.

python benchmarks/instructions_agreement.py FOLDER      the folder with the published files of IFEval and IFBench

Every row on which we differ has a reason code; a code's meaning is in REASONS and each decision in
docs/lab/2026-11-23-instruction-constraints.md. Exit code 1 where a difference has no reason, or agreement on the
constraints that upstream checks without downloads is under 97 %.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from rlvr.data.sources import load
from rlvr.types import Completion, Task, read_only
from rlvr.verifiers.instructions.verify import check_reference, verify

TARGET = 0.97

REASONS = {
    "A": "an apostrophe is no quotation mark",
    "R": "a run of words is a row, upstream adds the rows of a sentence up",
    "S": "upstream's splitter sees one sentence where none has an end sign, and one sentence passes",
    "T": "the text itself shows nothing of what is asked, and upstream passes it",
    "V": "upstream's tagger takes the verb for another kind of word",
    "B": "a blank line between two bullets is no other text",
}
DECIDED = {
    "format:line_indent": "T",
    "format:no_bullets_bullets": "B",
    "format:quote_unquote": "T",
    "format:quotes": "A",
    "sentence:alliteration_increment": "R",
    "words:last_first": "S",
    "words:start_verb": "V",
}
"""The reason of every known difference, by constraint."""

DOWNLOADS = frozenset((
    "custom:sentence_alphabet", "custom:word_reverse", "count:pronouns", "format:emoji", "format:no_bullets_bullets",
    "format:title_case", "ratio:sentence_balance", "ratio:sentence_type", "ratio:sentence_words", "ratio:stop_words",
    "sentence:alliteration_increment", "sentence:increment", "sentence:keyword", "words:keywords_specific_position",
    "words:last_first", "words:start_verb", "words:words_position",
))  # fmt: skip
"""Constraints that upstream checks with data that it downloads (sentence splitter, tagger, stop words)."""

Row = dict[str, Any]


def kept(task: Task, text: str) -> list[bool]:
    """Gives for each constraint of a task whether a text keeps it."""
    ids, logprobs, trainable = read_only([1], np.int64), read_only([0.0], np.float32), read_only([True], np.bool_)
    verdict = verify(task, Completion(ids, logprobs, trainable, text, "stop", 0))
    found = [bool(part) for part in verdict.parts.values()]
    return found or [False] * len(task.reference["constraints"])


def compare(folder: Path, mode: str) -> tuple[Counter[str], list[tuple[str, int, bool, bool]]]:
    """Gives counts of prompts ("all", "same", "offline", "offline same", "unknown") and (name, row, ours, theirs)."""
    tasks = load("task", "ifbench", "test", path=folder, mode=mode).items
    by_prompt = {task.messages[0]["content"].strip(): task for task in tasks}
    counts: Counter[str] = Counter()
    differing = []
    lines = (folder / f"ifbench_eval_results_{mode}.jsonl").read_text(encoding="utf-8").splitlines()
    for number, row in enumerate(map(json.loads, lines), start=1):
        task = by_prompt.get(row["prompt"].strip())
        if task is None:
            counts["unknown"] += 1
            continue
        ours = kept(task, row["response"])
        same = all(ours) == row["follow_all_instructions"]
        counts.update({"all": 1, "same": same})
        if DOWNLOADS.isdisjoint(row["instruction_id_list"]):
            counts.update({"offline": 1, "offline same": same})
        triples = zip(row["instruction_id_list"], ours, row["follow_instruction_list"], strict=True)
        differing += [(name, number, mine, theirs) for name, mine, theirs in triples if mine != theirs]
    return counts, differing


def report(folder: Path, mode: str) -> bool:
    """Prints the figures of a mode and a line for each difference; gives whether all is well."""
    counts, differing = compare(folder, mode)
    share, offline = counts["same"] / counts["all"], counts["offline same"] / counts["offline"]
    print(f"\n{mode}: {counts['same']} of {counts['all']} prompts agree, {100 * share:.1f} %")
    print(f"  without upstream's downloads: {counts['offline same']} of {counts['offline']}, {100 * offline:.1f} %")
    print(f"  {counts['unknown']} result is of a prompt that is not in the published test set")
    for name, number, mine, theirs in sorted(differing):
        code = DECIDED.get(name, "?")
        said = REASONS.get(code, "not decided")
        print(f"  {name:34} row {number:3}  ours {mine!s:5} published {theirs!s:5}  {code}  {said}")
    return offline >= TARGET and all(name in DECIDED for name, *_ in differing)


def main() -> int:
    """Prints everything; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name in ("ifeval", "ifbench"):
        tasks = load("task", name, "test", path=folder).items
        faults = [check_reference(task.reference) for task in tasks]
        kinds = {one["id"] for task in tasks for one in task.reference["constraints"]}
        print(
            f"{name}: {len(tasks)} prompts, {len(kinds)} kinds of constraints, {len(tasks) - faults.count(None)} faults"
        )
        for task in tasks:
            kept(task, "A red lamp stood near the river.\n\n* It shone, at last!")
    well = [report(folder, mode) for mode in ("strict", "loose")]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
