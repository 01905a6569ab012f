"""Tables of delimited text: reading, telling what each column holds, encoding by the training rows."""

from altmin.data.table.encoder import TableEncoder
from altmin.data.table.loading import load_table, targets
from altmin.data.table.options import TableOptions, check_format
from altmin.data.table.reading import Table, read_table, table_of
from altmin.data.table.targets import ClassTarget, NumberTarget

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
