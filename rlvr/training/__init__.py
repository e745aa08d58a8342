"""One step of learning: rollout, samples, batching, learner."""
