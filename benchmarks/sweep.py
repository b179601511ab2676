"""Times the exported walk by its address, so that no Python call is in what is measured."""

from typing import Any

import contenders

from execution import _match


def sweep_ns(
    c: Any, prices: contenders.Ints, quantities: contenders.Ints, want: int, n: int
) -> float:
    """ns a walk of the whole side by the kernel's own C function."""
    capsule = _match.__pyx_capi__["walk_exact"]
    return float(c.exported_ns(capsule, prices, quantities, want, n))
