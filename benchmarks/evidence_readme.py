"""What the runs of the evidence say in the READMEs: a table, and each claim in a sentence with whether it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evidence_claims import best_sampled, claims
from evidence_runs import CHILD, Finished
from evidence_tables import by_kind, range_of, spread

NAME = "evidence: written by make evidence"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language; `claims` are those of evidence_claims.claims, in its order."""

    head: str
    over: tuple[str, str]
    stories: str
    legend: str
    verdicts: tuple[str, str]
    claims: tuple[str, ...]
    lowest: str


WORDS: Mapping[str, Words] = {
    "README.md": Words(
        head="domain",
        over=("RLVR over DPO", "RLVR over the best prompt before"),
        stories="story perplexity",
        legend=(
            "pass@1 in percent: mean of {runs} runs with {steps} steps of RLVR (lowest … highest run). The last column "
            "compares with the highest pass@1 that any stage before has under any of the prompts tried: what RLVR adds "
            "beyond choosing the best prompt. What was promised, and whether it holds, with all figures in "
            "[docs/lab/laptop-evidence.md](docs/lab/laptop-evidence.md):"
        ),
        verdicts=("holds", "DOES NOT HOLD"),
        claims=(
            "pass@1 over the RL domains rises by 25 points or more on average, in every run{lowest}",
            "three domains or more rise by 15 points or more with intervals that do not touch, in every run",
            "domains that are never trained on move by 2 points at most",
            "the perplexity of stories moves by 3 % at most",
            "shuffled rewards teach nothing, neither on the way nor in the end, where the gain is {control} points",
            "no stage falls more than 2 points behind what an earlier one could be made to show, as a mean over seeds",
            "longer problems take up to ten times as long working, and working pays there",
            "RLVR's greedy answers lie 10 points or more over every earlier stage's best, in two domains, in every run",
            "they do so on the rungs that no text shows, in one domain or more, in every run",
        ),
        lowest=" (lowest {low:+.1f}; {left:+.1f} where all demonstrations show their working)",
    ),
    "README.zh-CN.md": Words(
        head="领域",
        over=("RLVR 比 DPO", "RLVR 比此前最好的提示"),
        stories="故事困惑度",
        legend=(
            "pass@1 为百分数:{runs} 次运行的均值,每次 {steps} 步 RLVR(最低 … 最高的一次)。"
            "最后一列与此前任何阶段在任何试过的提示下的最高 pass@1 相比:只靠选好提示之外还剩多少。"
            "承诺了什么、是否成立,全部数字见 [docs/lab/laptop-evidence.md](docs/lab/laptop-evidence.md):"
        ),
        verdicts=("成立", "不成立"),
        claims=(
            "每次运行中,RL 各领域的 pass@1 平均提高至少 25 点{lowest}",
            "每次运行中,至少三个领域提高 15 点以上,且区间不相接",
            "从未训练的领域变动不超过 2 点",
            "故事困惑度变动不超过 3%",
            "打乱奖励则一无所得:训练途中如此,结束时也如此(结束时的变化为 {control} 点)",
            "按种子平均,没有一个阶段比更早阶段所能达到的落后 2 点以上",
            "较长的题需要约十倍长的过程,而写出过程在那里确有好处",
            "每次运行中,RLVR 的贪心回答在两个领域比此前所有阶段的最好读出高 10 点以上",
            "每次运行中,在任何文本都没有展示过的难度上,至少一个领域也是如此",
        ),
        lowest="(最低 {low:+.1f};示范全部写出过程时为 {left:+.1f})",
    ),
}


def marks(name: str) -> tuple[str, str]:
    """Gives the two lines between which a script writes."""
    return f"<!-- {name} -->", f"<!-- end of {name.partition(':')[0]} -->"


def write_between(path: Path, text: str, name: str) -> None:
    """Puts `text` between the two marks of that name. Raises SystemExit where they are missing."""
    content, (begin, end) = path.read_text(encoding="utf-8"), marks(name)
    if begin not in content or end not in content:
        raise SystemExit(f"{path} has no place for the results: expected the lines {begin!r} and {end!r}")
    before, _, rest = content.partition(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def results_table(runs: Sequence[Finished], readme: str) -> str:
    """Gives a README's table, each domain's pass@1 after every stage over all runs, and the claims."""
    (true, control, worked), words = by_kind(runs), WORDS[readme]
    names = [stage.name for stage in true[0].stages]
    rows = [f"| {words.head} | {' | '.join((*names, *words.over))} |", "|---" * (len(names) + 3) + "|"]
    for domain in true[0].stages[-1].domains:
        cells = [range_of([run.stage(name).domains[domain].pass_at_1.mean for run in true]) for name in names]
        over = [run.stage(CHILD).domains[domain].pass_at_1.mean - best_sampled(run, domain) for run in true]
        cells += [range_of([run.gain(domain).mean for run in true], sign="+"), range_of(over, sign="+")]
        rows.append(f"| {domain} | {' | '.join(cells)} |")
    perplexities = [spread([run.stage(name).perplexity for run in true], "{:.3f}") for name in names]
    rows.append(f"| {words.stories} | {' | '.join(perplexities)} | | |")
    legend = words.legend.format(runs=len(true), steps=spread([run.steps for run in true], "{:.0f}"))
    lowest = ""
    if worked:
        low, left = (100 * min(run.mean_gain.mean for run in side) for side in (true, worked))
        lowest = words.lowest.format(low=low, left=left)
    ends = spread([100 * run.mean_gain.mean for run in control], "{:+.0f}")
    verdicts = [
        f"- **{words.verdicts[not holds]}**: {said.format(lowest=lowest, control=ends)}"
        for (holds, _), said in zip(claims(true, control, worked), words.claims, strict=True)
    ]
    return "\n".join([*rows, "", legend, "", *verdicts])
