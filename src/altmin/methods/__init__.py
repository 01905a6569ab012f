"""The methods, one file for each paper."""
