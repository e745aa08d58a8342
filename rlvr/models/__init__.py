"""The network: load and save, log-probabilities, optimizer, checkpoints."""
