"""The subproblems that the methods share, each solved by one pure function."""
