"""A run folder as training leaves it, from which a page is written, and a reader of that page."""

from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from rlvr.runs.folder import Run
from rlvr.runs.page.page import write_page
from rlvr.runs.report import Beyond, Condition, DomainReport, Lengths, Readout, StageReport, Working, write_report
from rlvr.statistics.intervals import Interval
from rlvr.types import Completion, Group, Task, Verdict, read_only

HOSTILE = '</pre></div><script>alert(1)</script><img src=x onerror="alert(2)"> {{ 7 * 7 }} \u202eevil\x1b[31m'
NAMES = ("base", "sft", "dpo", "rlvr")
PLAIN = "Q: {problem}\nA:"
WORTH = Working(20, 0.14, 0.02, Interval(0.12, 0.03, 0.21))

LOSS = Interval(-0.18, -0.3, -0.06)


def rate(mean: float, half: float = 0.05) -> Interval:
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def domain(
    mean: float, *, trained: bool = True, gain: float | None = None, best: float = 0.0, rungs: Mapping[int, float] = {}
) -> DomainReport:
    """pass@k is 1 - (1 - mean)^k; greedy 10 points over pass@1; the plain prompt `best` where that is given."""
    readouts = [Readout("chat", 0.0, rate(min(1.0, mean + 0.1)))]
    if best:
        readouts.append(Readout(PLAIN, 0.3, rate(best)))
    return DomainReport(
        trained=trained,
        num_tasks=64,
        pass_at_k={k: rate(1 - (1 - mean) ** k) for k in (1, 2, 4, 8, 16)},
        rungs={rung: rate(value) for rung, value in rungs.items()},
        readouts=tuple(readouts),
        gain=None if gain is None else Interval(gain, gain - 0.05, gain + 0.05),
        only_before=0.0 if gain is None else 0.0625,
        only_after=0.0 if gain is None else 0.25,
        tokens=40.0,
    )


def stage(name: str, domains: Mapping[str, DomainReport], **changes: object) -> StageReport:
    values = {
        "name": name,
        "kind": name,
        "checkpoint": "c",
        "cpu_seconds": 150.4,
        "seconds": 151.0,
        "domains": domains,
        "kl": 0.021,
        "perplexity": 2.0,
        "no_signal_rate": 0.4,
        "beyond": {},
        "conditions": (),
    }
    return StageReport(**{**values, **changes})  # type: ignore[arg-type]


def group(name: str, number: int, *, right: Sequence[bool | None], text: str) -> Group:
    task = Task(
        id=f"{name}-{number}",
        messages=({"role": "user", "content": f"What is {number} + 3? {HOSTILE if number == 0 else ''}"},),
        reference={"answer": str(number + 3)},
        verifier="math",
        source=name,
        domain=name,
    )
    completions = tuple(
        Completion(
            read_only([5, 6, 2], np.int64), read_only([-0.5] * 3, np.float32), read_only([True] * 3, np.bool_),
            f"{text} {index}", "stop", 0,
        )
        for index in range(len(right))
    )  # fmt: skip
    verdicts = tuple(
        Verdict(None if one is None else float(one), "ok" if one is not None else "crash") for one in right
    )
    rewards = tuple(float("nan") if one is None else float(one) for one in right)
    return Group(task, number, read_only([1], np.int64), completions, verdicts, rewards)


def measured(run: Run, groups: Sequence[Group]) -> None:
    with run.child("evaluation").step(0) as record:
        record.rollouts(groups, split="evaluate")


def trained(run: Run, name: str, steps: int) -> Run:
    child = run.child(name)
    wave = np.sin(np.arange(steps)) * 0.05
    for step in range(steps):
        with child.step(step) as record:
            if "rlvr" not in name:
                record.metrics({"train/tokens": 1000.0})
                continue
            record.metrics(
                {
                    "train/learned_tokens": 500.0,
                    "train/kl": 0.001 * step,
                    "train/entropy": 0.6 / (1 + step),
                    "train/clip_low_rate": 0.001,
                    "train/clip_high_rate": 0.002,
                    "rollout/informative_rate": 0.6,
                    "rollout/completion_tokens_mean": 40.0 + step,
                    "rollout/prompts_drawn": 32.0,
                    "rollout/solved_rate/arithmetic": 0.1 + 0.4 * step / steps + wave[step],
                    "rollout/solved_rate/lists": 0.2 + wave[step],
                }
            )
    return child


def make_run(path: Path, kinds: Sequence[str] = NAMES[1:], *, kl_groups: int = 2) -> Run:
    settings = {"name": "", "group_size": 16, "prompts_per_step": 32, "kl_groups": kl_groups}
    recipe = {"name": path.name, "seed": 1, "stage": [{"kind": kind, **settings} for kind in kinds]}
    provenance = {
        "started": "2026-11-22T20:40:56+00:00",
        "command": ["/somewhere/bin/rlvr", "train", "recipes/laptop.toml", "name=a b"],
        "code": {"commit": "4d833d9c3c", "diff_bytes": 802},
        "libraries": {"rlvr": "0.1.0", "torch": "2.13.0", "wandb": None},
        "cpu": {"model": "AMD EPYC"},
        "threads": {"usable_cores": 2},
        "torch_threads": 1,
        "gpu": None,
    }
    config = {"recipe": recipe, "source": "recipes/laptop.toml"}
    return Run.create(path, config=config, provenance=provenance)


def whole_run(path: Path, *, steps: int = 30, lists_gain: Interval = LOSS) -> Run:
    """Base, SFT, DPO and RLVR. Of 4 × 4 pairs in arithmetic 4 are won, 2 lost, 2 right both times, 8 wrong."""
    run = make_run(path)
    ladder = {1: 0.6, 2: 0.3, 3: 0.1}
    facts = domain(0.3, trained=False)
    base = {"arithmetic": domain(0.09, best=0.25), "lists": domain(0.2, best=0.5), "facts": facts}
    sft = {"arithmetic": domain(0.1, gain=0.01), "lists": domain(0.21, gain=0.01), "facts": facts}
    dpo = {"arithmetic": domain(0.1, gain=0.0, rungs=ladder), "lists": domain(0.2, gain=0.0), "facts": facts}
    rlvr = {
        "arithmetic": domain(0.43, gain=0.33, rungs={1: 0.9, 2: 0.7, 3: 0.3}),
        "lists": domain(0.22, gain=0.02),
        "facts": domain(0.29, trained=False, gain=-0.01),
    }
    beyond = {
        "arithmetic": Beyond("base", PLAIN, 0.3, rate(0.25), Interval(0.28, 0.16, 0.4)),
        "lists": Beyond("base", PLAIN, 0.3, rate(0.5), lists_gain),
    }
    conditions = (
        Condition(
            *("arithmetic", 64, 16, 8, rate(0.1), rate(0.5), rate(0.45), 0.6, WORTH, (), (32, 24, 8, 0, 0, 0)),
            lengths=Lengths(rate(0.06), 30.0, 80.0),
        ),
        Condition(
            *("lists", 64, 16, 8, rate(0.2), rate(0.25), rate(0.08), 0.0, None, ("only 8% of the groups are mixed",)),
            histogram=(48, 3, 0, 0, 1, 12),
            lengths=Lengths(rate(0.1), 40.0, 90.0),
        ),
    )
    measured(run.child("0-base"), [])
    for name in ("1-sft", "2-dpo"):
        measured(trained(run, name, 8), pairs(before=True))
    measured(trained(run, "3-rlvr", steps), pairs(before=False))
    write_report(
        run,
        [
            stage("base", base, cpu_seconds=0.0, seconds=0.0, kl=None, perplexity=1.96, no_signal_rate=None),
            stage("sft", sft, no_signal_rate=None),
            stage("dpo", dpo, no_signal_rate=None),
            stage("rlvr", rlvr, perplexity=2.01, beyond=beyond, conditions=conditions),
        ],
    )
    return run


def pairs(*, before: bool) -> list[Group]:
    outcomes = {True: "RRRRwwwwwwwwwwww", False: "RRwwRRRRwwwwwwww"}[before]
    text = f"<think>{HOSTILE}</think> {'old' if before else 'new'}"
    found = [
        group("arithmetic", task, right=[mark == "R" for mark in outcomes[4 * task : 4 * task + 4]], text=text)
        for task in range(4)
    ]
    return [*found, group("lists", 9, right=[before, None, None], text="x")]


class Page(HTMLParser):
    """Every tag with its attributes, the ids, and the text, of a page whose tags all close in order."""

    VOID = ("meta", "br", "link", "img", "input", "hr")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


def shown(run: Run) -> Page:
    return Page(write_page(run).read_text(encoding="utf-8"))
