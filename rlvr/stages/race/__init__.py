"""Racing: the same stage with several seeds, of which those that cannot win are paused."""
