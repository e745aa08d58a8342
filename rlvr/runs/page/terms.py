"""The words of the page, explained in one line each to someone who has never trained a model."""

TERMS: dict[str, str] = {
    "base": "The model that the run starts from: it has read text, and nobody has trained it on these tasks yet.",
    "stage": "One part of the training; each starts from the model that the one before left behind.",
    "pretraining": "Learning to predict the next word of a large heap of text.",
    "SFT": "Supervised fine-tuning: the model is shown worked examples and learns to write like them.",
    "DPO": "Preference tuning: the model is shown a better and a worse answer and learns to prefer the better.",
    "RLVR": "Reinforcement learning with verifiable rewards: the model writes answers of its own, a program marks each "
    "right or wrong, and what was marked right becomes more likely.",
    "verifier": "The program that marks an answer. It can say right, wrong, or that it could not tell.",
    "domain": "A family of tasks of one kind, with one way of checking them.",
    "held-out task": "A task that is kept aside for measuring and left out of training.",
    "token": "The piece of text that a model reads and writes at a time: a word, a number or a few letters.",
    "completion": "One answer that the model writes to a task.",
    "pass@1": "The chance that a single random answer is right, averaged over the tasks.",
    "pass@k": "The chance that at least one of k random answers is right: how much the model can find with k tries.",
    "temperature": "How much chance there is in choosing each token: 0 always takes the likeliest, 1 draws as the "
    "model thinks likely.",
    "greedy": "Answering at temperature 0: the likeliest token each time, so the same answer every time.",
    "readout": "One way of asking the model: a wording of the question together with a temperature.",
    "strongest readout": "The way of asking under which a model does best, of all that were tried.",
    "elicitation": "Getting an ability out of a model that was already in there. A gain is beyond elicitation when no "
    "way of asking any earlier model that was tried came within 10 points.",
    "sharpening": "Making right answers likelier that the model could find before: pass@1 rises, pass@16 does not.",
    "95% interval": "The range that holds the true value in about 95 of 100 such measurements; it covers the luck of "
    "which tasks and samples were drawn, not the luck of training.",
    "point": "One percentage point: from 10% to 15% is 5 points.",
    "paired": "Compared task by task on the same tasks, which tells small changes from luck better.",
    "rung": "A step on a domain's ladder of difficulty, 1 being the easiest.",
    "group": "The answers that RLVR draws for one task in one step. It learns from the differences within the group.",
    "no signal": "A group in which all answers are right or all are wrong: there is nothing to learn from it.",
    "mixed group": "A group with right and wrong answers: the kind that RLVR learns from.",
    "KL": "How far the model has moved away from the one it is compared with, per token, in nats; 0 is not at all.",
    "entropy": "How undecided the model is about the next token, in nats; 0 means it always knows what to write.",
    "clipped": "Held back because the update would change a token's chance too much at once.",
    "perplexity": "How surprised the model is by ordinary text: 1 would be not at all, lower is better.",
    "gate": "What stands after a stage: one that lost more of an ability than the recipe allows is not handed on.",
    "CPU-second": "One processor core working for one second.",
}
