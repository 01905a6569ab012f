"""Runs in folders, comparisons, and what they show."""
