"""What each metric means: name → one line. A name is room/what_unit; a rate lies between 0 and 1."""

GLOSSARY: dict[str, str] = {
    "train/loss": "The loss of the update, over the global denominator; in RLVR it says little, read the outcome.",
    "train/grad_norm": "Euclidean norm of the whole gradient before clipping.",
    "train/learning_rate": "Learning rate of the update, after warm-up and decay.",
    "train/tokens": "Tokens of the update's sequences, prompts included, padding excluded.",
    "train/kl": "Mean KL estimate per trained token from the policy to the frozen reference, in nats.",
    "train/clip_rate": "Share of trained tokens whose ratio was clipped, so that they gave no gradient.",
    "train/entropy": "Mean entropy per trained token of the policy's next-token distribution, in nats.",
    "rollout/outcome_mean": "Mean outcome of all scored completions of the step: how often the model is right.",
    "rollout/reward_mean": "Mean reward of all scored completions: the outcome after shaping.",
    "rollout/informative_rate": "Share of groups with solved and unsolved completions; only they carry a signal.",
    "rollout/all_right_rate": "Share of groups whose scored completions are all solved: too easy by now.",
    "rollout/all_wrong_rate": "Share of groups with no solved completion: too hard so far.",
    "rollout/unscored_rate": "Share of completions that the verifier could not score; they leave every denominator.",
    "rollout/truncated_rate": "Share of completions cut off at the length limit.",
    "rollout/completion_tokens_mean": "Mean length of a completion, in tokens.",
    "time/step_seconds": "Wall-clock duration of the step.",
    "time/cpu_seconds": "CPU time of the step, over all threads of this process and its finished children.",
}
