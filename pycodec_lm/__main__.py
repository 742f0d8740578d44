"""`python -m pycodec_lm` is the command `pycodec-lm`."""

import sys

from .cli.main import main

sys.exit(main())
