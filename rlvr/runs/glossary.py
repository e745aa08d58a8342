"""What each metric means: name → one line. A name is room/what_unit; a rate lies between 0 and 1.

A name that ends in DOMAIN stands for one metric per domain.
"""

from collections.abc import Iterable, Mapping

SOLVED = "rollout/solved_rate/"
"""What begins the metric of each domain that is trained."""

GLOSSARY: dict[str, str] = {
    "train/loss": "The loss of the update, over the global denominator; in RLVR it says little, read the outcome.",
    "train/grad_norm": "Euclidean norm of the whole gradient before clipping.",
    "train/learning_rate": "Learning rate of the update, after warm-up and decay.",
    "train/tokens": "Tokens of the update's sequences, prompts included, padding excluded.",
    "train/kl": "Mean KL estimate per trained token from the policy to its reference, in nats.",
    "train/kl_coefficient": "Weight of the KL in the reward; a row with a target for the KL moves it.",
    "train/mismatch_cut_rate": "Share of trained tokens whose weight for sampler mismatch was cut or masked.",
    "train/value_loss": "Loss of the critic: half the squared distance of its values to the returns.",
    "train/value_grad_norm": "Euclidean norm of the critic's whole gradient before clipping.",
    "train/value_explained": "Share of the returns' variance that the critic foresaw; 1 is all, below 0 it misleads.",
    "train/clip_low_rate": "Share of trained tokens held back at the lower clip bound; they give no gradient.",
    "train/clip_high_rate": "Share of trained tokens held back at the upper clip bound; they give no gradient.",
    "train/learned_tokens": "Tokens in the loss: of completions with an advantage, or of all where a KL is asked for.",
    "train/sampler_gap": "Mean distance between learner's and sampler's log-probability of a trained token, in nats.",
    "train/idle_updates": "Updates of the step in which no token had an advantage, so that nothing changed.",
    "train/preference_accuracy": "Share of pairs whose chosen completion has more reward; kto: of those beyond z.",
    "train/preference_margin": "Mean of how much more reward the chosen one has, in the loss's units; kto: beyond z.",
    "train/kl_baseline": "KTO's z: mean log-ratio of completions under other prompts, at least 0, in nats.",
    "train/pairwise_accuracy": "Share of the update's pairs whose chosen completion got the higher reward.",
    "train/reward_margin": "Mean of the chosen minus the rejected completion's reward, as the reward model gives it.",
    "train/reward_mean": "Mean reward of all completions of the update, as the reward model gives it.",
    "train/entropy": "Mean entropy per trained token of the policy's next-token distribution, in nats.",
    "rollout/outcome_mean": "Mean outcome of all scored completions of the step: how often the model is right.",
    "rollout/reward_mean": "Mean reward of all scored completions: outcome, or reward model's score, after shaping.",
    "rollout/score_mean": "Mean score of all completions of the step, as the reward model gives it, before shaping.",
    "rollout/score_agreement_rate": "Share of right-wrong pairs of one task whose right one has the higher score.",
    "rollout/informative_rate": "Share of groups with solved and unsolved completions; where completions of a task are "
    "compared, only they carry a signal.",
    "rollout/all_right_rate": "Share of groups whose scored completions are all solved: too easy by now.",
    "rollout/all_wrong_rate": "Share of groups with no solved completion: too hard so far.",
    "rollout/unscored_rate": "Share of completions that the verifier could not score; they leave every denominator.",
    "rollout/truncated_rate": "Share of completions cut off at the length limit.",
    "rollout/completion_tokens_mean": "Mean length of a completion, in tokens.",
    "rollout/prompts_drawn": "Prompts that were completed and scored in the step.",
    "rollout/prompts_kept": "Prompts whose group passed the filter and was trained on.",
    "rollout/solved_rate/DOMAIN": "Mean share of solved completions over the groups of one domain.",
    "candidates/within_reach_rate": "Before a round: share of candidates that some samples solve and some do not.",
    "candidates/all_right_rate": "Before a round: share of candidates that every sample solves; they rest.",
    "candidates/all_wrong_rate": "Before a round: share of candidates that no sample solves; they rest.",
    "eval/pass_at_1/DOMAIN": "Held-out: chance that one sample solves a task, mean over the domain's tasks.",
    "eval/pass_at_16/DOMAIN": "Held-out: chance that one of 16 samples solves a task, mean over the domain's tasks.",
    "eval/greedy/DOMAIN": "Held-out: share of the domain's tasks that greedy decoding solves.",
    "eval/best_readout/DOMAIN": "Held-out: share right under the best of all prompts and temperatures measured.",
    "eval/completion_tokens_mean/DOMAIN": "Held-out: mean length of a sample in that domain, in tokens.",
    "eval/pairwise_accuracy": "Held-out: share of pairs whose chosen completion gets the higher reward, over prompts.",
    "eval/reward_margin": "Held-out: mean of the chosen minus the rejected completion's reward.",
    "eval/steps_without_gain": "Held-out: steps over which no gain can be told from chance, paired by task.",
    "eval/kl": "KL from this checkpoint to its parent on its own held-out samples (4 of each task), in nats per token.",
    "eval/perplexity": "Exponential of the mean negative log-likelihood per token of held-out text.",
    "rollout/conditions_pass_at_1/DOMAIN": "Training tasks before RLVR: chance that one sample solves a task.",
    "rollout/conditions_pass_at_k/DOMAIN": "Training tasks before RLVR: chance that one of all samples is right.",
    "rollout/conditions_mixed_rate/DOMAIN": "Training tasks before RLVR: share of groups with right and wrong samples.",
    "rollout/conditions_working_rate/DOMAIN": "Training tasks before RLVR: share of samples that show working.",
    "rollout/conditions_truncated_rate/DOMAIN": "Training tasks before RLVR: share of samples cut off by the limit.",
    "rollout/conditions_working_gain/DOMAIN": "Training tasks before RLVR: right with working minus without it.",
    "judge/requests": "Questions sent to the judge in the step, those that were sent again among them.",
    "judge/retries": "Questions that were sent to the judge again in the step.",
    "judge/unreadable": "The judge's replies of the step without a verdict.",
    "judge/failures": "Questions of the step to which the judge gave no verdict in the end.",
    "judge/held_back": "Answers of the step that were rejected without asking the judge.",
    "judge/cache_hits": "Questions of the step that needed no request of their own.",
    "judge/tokens_in": "Tokens that the judge read in the step.",
    "judge/tokens_out": "Tokens that the judge wrote in the step.",
    "judge/without_usage": "The judge's replies of the step that tell no tokens.",
    "judge/cost": "What the judge cost in the step, in the currency of its prices.",
    "judge/canaries_seen": "Answers that deserve nothing, given to the judge in the step.",
    "judge/canaries_alarmed": "Those of them that the judge gave a good mark.",
    "time/step_seconds": "Wall-clock duration of the step.",
    "time/cpu_seconds": "CPU time of the step, over all threads of this process; verifier processes not counted.",
    "memory/peak_bytes": "Most memory that this process has held since it began; verifier processes not counted.",
}


def meaning(name: str) -> str | None:
    """Gives the line about a metric; None for a name that is not known."""
    room_and_what = "/".join(name.split("/")[:2])  # a domain may hold a slash itself
    return GLOSSARY.get(name) or GLOSSARY.get(f"{room_and_what}/DOMAIN")


def trained_domains(lines: Iterable[Mapping[str, float]]) -> list[str]:
    """Gives the domains that steps with these metrics trained on."""
    return sorted({key.removeprefix(SOLVED) for line in lines for key in line if key.startswith(SOLVED)})
