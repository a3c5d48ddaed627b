"""Search: spaces, searchers whose state is a fold over recorded trials, and pruning rules."""
