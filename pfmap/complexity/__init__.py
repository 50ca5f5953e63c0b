"""Complexity measures: truth tables in, K(f) out as float64[size].

The one thing to know: every measure is called as measure(tables) and carries name, unit, invariance and is_code_length;
2^-K is a distribution only where is_code_length holds.
"""

from pfmap.complexity.bdd import robdd_size
from pfmap.complexity.circuits import (
    circuit_depth,
    circuit_formula,
    circuit_size,
    circuit_table,
    de_morgan_formula_size,
    formula_size,
    minimal_circuit,
)
from pfmap.complexity.decision import decision_tree_depth, decision_tree_mixture, decision_tree_size
from pfmap.complexity.lempel_ziv import lempel_ziv, lempel_ziv_truncated, max_lempel_ziv
from pfmap.complexity.protocol import ComplexityMeasure, measure

__all__ = [
    "ComplexityMeasure",
    "circuit_depth",
    "circuit_formula",
    "circuit_size",
    "circuit_table",
    "de_morgan_formula_size",
    "decision_tree_depth",
    "decision_tree_mixture",
    "decision_tree_size",
    "formula_size",
    "lempel_ziv",
    "lempel_ziv_truncated",
    "max_lempel_ziv",
    "measure",
    "minimal_circuit",
    "robdd_size",
]
