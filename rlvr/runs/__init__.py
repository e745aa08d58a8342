"""What happened, on disk: run folders, rollouts, published checkpoints, reports. No torch here."""
