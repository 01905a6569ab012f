"""Data sets, always divided into training, validation and test samples."""

from altmin.data.base import Dataset, Split
from altmin.data.catalogue import DatasetDescription, describe, load, names
from altmin.data.download import DownloadProgress
from altmin.data.files import data_root
from altmin.data.higgs import stream
from altmin.data.table import TableOptions

__all__ = [
    "Dataset",
    "DatasetDescription",
    "DownloadProgress",
    "Split",
    "TableOptions",
    "data_root",
    "describe",
    "load",
    "names",
    "stream",
]
