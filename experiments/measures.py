"""Every public complexity measure, whichever there are."""

from pfmap import complexity


def measures_of(n_inputs):
    """Those that answer for functions of n inputs, by name."""
    public = (getattr(complexity, name) for name in complexity.__all__)
    found = (m for m in public if isinstance(m, complexity.ComplexityMeasure) and not isinstance(m, type))
    return {m.name: m for m in found if m.min_inputs <= n_inputs <= m.max_inputs}
