"""Data sets, always divided into training, validation and test samples."""

from altmin.data.base import Dataset, Split, TargetScale
from altmin.data.catalogue import DatasetDescription, describe, load, names
from altmin.data.download import DownloadProgress
from altmin.data.files import data_root
from altmin.data.higgs import stream
from altmin.data.table import TableEncoder, TableOptions

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
