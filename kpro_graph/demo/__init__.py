"""The demo's contents: four municipalities, their citizens and a year of answers, computed from a seed and loaded.

`load` fills a database; `generate` computes the same rows without one, for tests and benchmarks.
"""

from kpro_graph.demo.answering import Edition
from kpro_graph.demo.generation import Batch, Population, generate, share
from kpro_graph.demo.loading import Loaded, load

__all__ = ["Batch", "Edition", "Loaded", "Population", "generate", "load", "share"]
