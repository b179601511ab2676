"""The kernel of execution-service: what would this order have cost, exactly and fast.

`import execution` needs numpy alone. The service lives in the submodules and needs the extra
`execution-service[server]`.
"""

from importlib.metadata import version

from execution._match import (
    Book,
    Fill,
    Fills,
    format_decimal,
    parse_decimal,
    walk,
    walk_batch,
)

__all__ = [
    "Book",
    "Fill",
    "Fills",
    "__version__",
    "format_decimal",
    "parse_decimal",
    "walk",
    "walk_batch",
]

__version__ = version("execution-service")
