"""Complexity measures: truth tables in, K(f) out as float64[size].

The one thing to know: every measure is called as measure(tables) and carries name, unit, invariance and is_code_length;
2^-K is a distribution only where is_code_length holds.
"""

from pfmap.complexity.bdd import robdd_size
from pfmap.complexity.circuits import (
    and_or_circuit_size,
    circuit_depth,
    circuit_formula,
    circuit_size,
    circuit_size_bound,
    circuit_size_bounds,
    circuit_table,
    de_morgan_formula_size,
    formula_size,
    minimal_circuit,
)
from pfmap.complexity.compression import zstd_length
from pfmap.complexity.counting import distance_to_constant, entropy, type_code
from pfmap.complexity.decision import decision_tree_depth, decision_tree_mixture, decision_tree_size
from pfmap.complexity.formulas import (
    greedy_dnf_literals,
    greedy_dnf_terms,
    minimal_cnf,
    minimal_dnf,
    prime_implicants,
)
from pfmap.complexity.lempel_ziv import lempel_ziv, lempel_ziv_over_orders, lempel_ziv_truncated, max_lempel_ziv
from pfmap.complexity.locality import (
    average_sensitivity,
    block_sensitivity,
    certificate_complexity,
    critical_sample_ratio,
    generalization_complexity,
    max_sensitivity,
)
from pfmap.complexity.protocol import ComplexityMeasure, measure
from pfmap.complexity.ranks import rank_code
from pfmap.complexity.spectrum import (
    anf_degree,
    anf_terms,
    fourier_degree,
    fourier_l1_norm,
    fourier_sparsity,
    noise_sensitivity,
    total_influence,
)
from pfmap.complexity.threshold import threshold_degree

__all__ = [
    "ComplexityMeasure",
    "and_or_circuit_size",
    "anf_degree",
    "anf_terms",
    "average_sensitivity",
    "block_sensitivity",
    "certificate_complexity",
    "circuit_depth",
    "circuit_formula",
    "circuit_size",
    "circuit_size_bound",
    "circuit_size_bounds",
    "circuit_table",
    "critical_sample_ratio",
    "de_morgan_formula_size",
    "decision_tree_depth",
    "decision_tree_mixture",
    "decision_tree_size",
    "distance_to_constant",
    "entropy",
    "formula_size",
    "fourier_degree",
    "fourier_l1_norm",
    "fourier_sparsity",
    "generalization_complexity",
    "greedy_dnf_literals",
    "greedy_dnf_terms",
    "lempel_ziv",
    "lempel_ziv_over_orders",
    "lempel_ziv_truncated",
    "max_lempel_ziv",
    "max_sensitivity",
    "measure",
    "minimal_circuit",
    "minimal_cnf",
    "minimal_dnf",
    "noise_sensitivity",
    "prime_implicants",
    "rank_code",
    "robdd_size",
    "threshold_degree",
    "total_influence",
    "type_code",
    "zstd_length",
]
