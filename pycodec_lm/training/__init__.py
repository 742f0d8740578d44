"""Training of a backbone on a token dataset, resumable to the exact sample."""
