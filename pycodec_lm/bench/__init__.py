"""Measurements, each with its correctness check before it: what `pycodec-lm bench` runs."""
