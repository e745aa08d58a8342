"""A language model behind any OpenAI-compatible endpoint as a verifier. Needs the extra `rlvr[judge]`.

    from rlvr.verifiers.judge.judge import Judge
    from rlvr.verifiers.judge.settings import JudgeSettings

    settings = JudgeSettings(
        model="…", base_url="http://localhost:8000/v1", api_key_env="JUDGE_KEY", cache_path="judge.db"
    )
    async with Judge(settings) as judge:
        verdict = await judge.verify(task, completion)           # how well it meets the rubric
        better = await judge.prefer(task, first, second)         # 1, 0.5, 0, or None
    judge.counts.totals()                                        # requests, tokens, cost, canaries, …

`judge.verify` has the signature of every verifier: `Scorer({**VERIFIERS, "judge": judge.verify})`. The task's reference
is {"rubric": "…"} and, as needed, "question", "answer", "slot" and "scale" (`screening.check_reference`).

    settings   what a judge is and may cost          client   limits, retries, deadline
    wire       one request and what can go wrong
    screening  what it gets to see                   replies  what it said
    template   rubric, fence, choices                cache    verdicts on disk
    canaries   answers that must not score           counts   totals
"""
