"""Tables of delimited text: reading, telling what each column holds, encoding by the training rows."""

from typing import TYPE_CHECKING

from altmin.data.lazy import lazily
from altmin.data.table.options import TableOptions, check_format

if TYPE_CHECKING:
    from altmin.data.table.encoder import TableEncoder
    from altmin.data.table.loading import load_table, targets
    from altmin.data.table.reading import Table, read_table, table_of
    from altmin.data.table.targets import ClassTarget, NumberTarget
else:  # pandas and scikit-learn take longer to import than all of altmin
    __getattr__ = lazily(
        __name__,
        **dict.fromkeys(("ClassTarget", "NumberTarget"), "altmin.data.table.targets"),
        **dict.fromkeys(("Table", "read_table", "table_of"), "altmin.data.table.reading"),
        **dict.fromkeys(("load_table", "targets"), "altmin.data.table.loading"),
        TableEncoder="altmin.data.table.encoder",
    )

__all__ = [
    "ClassTarget",
    "NumberTarget",
    "Table",
    "TableEncoder",
    "TableOptions",
    "check_format",
    "load_table",
    "read_table",
    "table_of",
    "targets",
]
