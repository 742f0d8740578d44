"""Canonical bytes: pictures to files and back, by the encoders that everybody has."""
