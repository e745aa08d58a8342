"""Reinforcement learning with verifiable rewards, from a base model to a checked result."""

__version__ = "0.1.0"
