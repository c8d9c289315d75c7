"""The publish-time proof: what a questionnaire and its rules can do, shown by responses before anyone is asked.

:func:`prove` finds items that are never asked, answers after which no response can be valid, circles, gaps and overlaps
of colours, scores outside their range, worse answers that turn greener, faults of expressions and texts; and it makes
a small set of responses that together show everything. Where answers are finitely many it is complete; where it could
not decide, it says so.
"""

from __future__ import annotations

from kpro_graph.questionnaires.proof.budget import Budget
from kpro_graph.questionnaires.proof.findings import FINDINGS, Finding, Gravity
from kpro_graph.questionnaires.proof.fixtures import Expected, Fixture
from kpro_graph.questionnaires.proof.proving import Proof, ScoreRange, prove

__all__ = ["FINDINGS", "Budget", "Expected", "Finding", "Fixture", "Gravity", "Proof", "ScoreRange", "prove"]
