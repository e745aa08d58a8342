"""What a completion is worth: verifiers, the pool of killable workers behind them, shaping of rewards."""
