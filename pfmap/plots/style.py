"""What all pictures share: sizes, colours, Axes of one print column, and saving."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pfmap.errors import InvalidInput, StoreError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.4
"""Width of one print column, in inches."""

TEXT, SMALL = 8.0, 7.0
"""Heights of text, in points."""

# From the Okabe-Ito palette: told apart by colour-blind readers, and by their lightness in grey.
POINTS, CHOSEN, LINE, FAINT = "#56B4E9", "#A33B00", "#000000", "#777777"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")

_SIZE = WIDTH, 0.85 * WIDTH


def new_axes() -> Axes:
    """New Axes of one print column, in a figure of pyplot's, which a notebook shows by itself."""
    from matplotlib import pyplot

    return _only_axes(pyplot.figure(figsize=_SIZE))


def column_axes() -> Axes:
    """New Axes of one print column that pyplot does not know: no window, and gone with the last reference."""
    from matplotlib.figure import Figure

    return _only_axes(Figure(figsize=_SIZE))


def save(drawn: Axes | Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure so that the same figure gives the same bytes: no dates, no random ids; PNG at 300 dots an inch.

    Args:
        drawn: the figure, or any Axes of it.
        path: ends in .png, .pdf or .svg.

    Raises:
        InvalidInput: another ending.
        StoreError: the folder is missing or cannot be written.
    """
    import matplotlib

    path = Path(path)
    dateless = {".png": {"Software": None}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
    if path.suffix.lower() not in dateless:
        raise InvalidInput(f"a figure was to go to {path.name!r}; its name ends in .png, .pdf or .svg")
    figure: Any = drawn.get_figure(root=True)
    try:
        with matplotlib.rc_context({"svg.hashsalt": "pfmap"}):
            figure.savefig(path, dpi=300, metadata=dateless[path.suffix.lower()])
    except OSError as error:
        raise StoreError(
            error.errno, f"{path}: {error.strerror}; choose a folder that exists and can be written"
        ) from error
    return path


def _only_axes(figure: Figure) -> Axes:
    figure.subplots_adjust(left=0.15, right=0.885, bottom=0.145, top=0.925)
    return figure.add_subplot()
