"""Generation: a model, a grammar, and files that are whole when they end."""

from pycodec_lm.generation.api import generate, iter_files
from pycodec_lm.generation.result import GeneratedFile
from pycodec_lm.generation.sampling import Sampling
from pycodec_lm.generation.scoring import Score, score

__all__ = ["GeneratedFile", "Sampling", "Score", "generate", "iter_files", "score"]
