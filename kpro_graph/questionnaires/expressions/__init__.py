"""FHIRPath: expressions compiled once, evaluated often, and never silent where an error is due.

The parser and the tables of FHIR R4 are those of fhirpathpy, which only this package knows; evaluating is done
here. Built on FHIRPath 2.0.0 with the trial-use functions of the continuous build, the FHIR R4 additions, and
``weight()``/``ordinal()`` of Structured Data Capture.

What is guaranteed for any text and any JSON:

- :func:`compile_expression` returns or raises :class:`ExpressionInvalid`; :meth:`Expression.evaluate` returns or
  raises :class:`ExpressionFailed`. Nothing else, nothing printed, nothing fetched, the input never changed.
- A text over 20 000 characters, 2 500 tokens or 40 levels is refused before it is parsed. An evaluation ends after
  500 000 steps, or 0.8 seconds where single steps were long. Steps are counted in the calling thread: no thread, no
  signal, and the same verdict on every machine as long as the clock is not needed. A single step takes time in
  proportion to the data it reads, so the size of the data is the caller's to limit.
- Patterns run in linear time; texts of more than a million characters are not built.
- The same expression, data and ``now`` give the same result, in any number of threads.
"""

from __future__ import annotations

from .batch import run_batch
from .expression import PREDEFINED_VARIABLES, Expression, compile_expression, prepare
from .nodes import ExpressionFailed
from .syntax import ExpressionInvalid
from .weights import declared_weights, with_weights

__all__ = [
    "PREDEFINED_VARIABLES",
    "Expression",
    "ExpressionFailed",
    "ExpressionInvalid",
    "compile_expression",
    "declared_weights",
    "prepare",
    "run_batch",
    "with_weights",
]
