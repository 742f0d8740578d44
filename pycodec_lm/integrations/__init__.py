"""Adapters to programs that run models; each module needs its program installed."""
