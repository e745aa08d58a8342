"""The verbs: pretrain, SFT, DPO, RLVR and evaluation, each (parts, config, run) -> Checkpoint."""
