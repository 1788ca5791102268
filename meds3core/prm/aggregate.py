"""Aggregates a trajectory's step scores into one."""
