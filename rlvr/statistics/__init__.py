"""Estimates and intervals that every floor may use."""
