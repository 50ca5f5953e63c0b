"""What a complexity measure promises, and the decorator that makes one of a function."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import WRAPPER_ASSIGNMENTS
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pfmap.errors import InvalidInput
from pfmap.symmetry import Symmetry
from pfmap.tables import MAX_INPUTS, Cube, TruthTables, require_tables

EVERY_SYMMETRY: frozenset[Symmetry] = frozenset({"complement", "reversal", "input_flips", "input_permutations"})

Values: TypeAlias = NDArray[np.float64]


@runtime_checkable
class ComplexityMeasure(Protocol):
    """tables -> K(f), one value a function.

    Attributes:
        name: what a user types after `complexity.`.
        unit: what K is counted in.
        invariance: every symmetry that leaves K of every function as it is.
        is_code_length: whether K is the length in bits of a uniquely decodable code, so that the sum of 2^-K over all
            functions of a domain is at most 1.
        min_inputs: the smallest n of Cube(n) that the measure answers for; below, it raises InvalidInput.
        max_inputs: the largest; above, it raises InvalidInput too.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def invariance(self) -> frozenset[Symmetry]: ...
    @property
    def is_code_length(self) -> bool: ...
    @property
    def min_inputs(self) -> int: ...
    @property
    def max_inputs(self) -> int: ...

    def __call__(self, tables: TruthTables) -> Values:
        """K of each function: float64[size]."""
        ...


@dataclass(frozen=True)
class _Measured:
    name: str
    unit: str
    invariance: frozenset[Symmetry]
    is_code_length: bool
    min_inputs: int
    max_inputs: int
    instead: str
    __wrapped__: Callable[[TruthTables], Values]

    def __post_init__(self) -> None:
        for attribute in WRAPPER_ASSIGNMENTS:  # so that help(), doctest and inspect see the function
            if attribute != "__annotations__":
                object.__setattr__(self, attribute, getattr(self.__wrapped__, attribute))

    def __repr__(self) -> str:
        return f"<complexity measure {self.name} [{self.unit}]>"

    def __call__(self, tables: TruthTables) -> Values:
        require_tables(self.name, tables)
        if isinstance(tables.domain, Cube) and not self.min_inputs <= tables.n_inputs <= self.max_inputs:
            limit = f"most {self.max_inputs}" if tables.n_inputs > self.max_inputs else f"least {self.min_inputs}"
            raise InvalidInput(
                f"{self.name} came with functions of {tables.n_inputs} inputs; it answers for at {limit}; "
                f"use {self.instead}"
            )
        return self.__wrapped__(tables)


def measure(
    *,
    unit: str,
    invariance: Set[Symmetry],
    is_code_length: bool,
    min_inputs: int = 1,
    max_inputs: int = MAX_INPUTS,
    instead: str = "complexity.lempel_ziv, which answers for any number of inputs",
) -> Callable[[Callable[[TruthTables], Values]], ComplexityMeasure]:
    """Make a ComplexityMeasure of a function from tables to float64[size]; its name is the function's.

    `instead` ends the error of a measure asked outside `min_inputs` to `max_inputs`: what to use there.
    """

    def decorate(function: Callable[[TruthTables], Values]) -> ComplexityMeasure:
        return _Measured(
            function.__name__, unit, frozenset(invariance), is_code_length, min_inputs, max_inputs, instead, function
        )

    return decorate
