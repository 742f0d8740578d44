"""For all tests."""

import os

# Before torch is imported: threads that wait for each other by spinning make tests ten times as
# slow where other programs use the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
