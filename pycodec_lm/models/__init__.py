"""Backbones. They know tokens, positions and annotations; they know no codec."""
