"""Data sets, always divided into training, validation and test samples."""

from typing import TYPE_CHECKING

from altmin.data.base import Dataset, Split, TargetScale
from altmin.data.catalogue import DatasetDescription, describe, load, names
from altmin.data.download import DownloadProgress
from altmin.data.files import data_root
from altmin.data.higgs import stream
from altmin.data.lazy import lazily
from altmin.data.table import TableOptions

if TYPE_CHECKING:
    from altmin.data.table import TableEncoder
else:
    __getattr__ = lazily(__name__, TableEncoder="altmin.data.table.encoder")

__all__ = [
    "Dataset",
    "DatasetDescription",
    "DownloadProgress",
    "Split",
    "TableEncoder",
    "TableOptions",
    "TargetScale",
    "data_root",
    "describe",
    "load",
    "names",
    "stream",
]
