import pytest
import torch

from altmin.train.samples import rows_of

X = torch.zeros(4, 2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.tensor([3, 0]), [3, 0]),
        (torch.tensor([1], dtype=torch.int32), [1]),
        ([2, 1], [2, 1]),
        (torch.tensor([True, False, False, True]), [0, 3]),
    ],
)
def test_rows_by_number_or_mask(given, expected):
    rows = rows_of(given, X)
    assert isinstance(rows, torch.Tensor)
    assert rows.dtype == torch.int64
    assert rows.tolist() == expected


def test_rows_by_slice():
    assert rows_of(slice(1, 3), X) == slice(1, 3)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.tensor([4]), ValueError, "by numbers from 0 to 3"),
        (torch.tensor([-1]), ValueError, "by numbers from 0 to 3"),
        (torch.tensor([], dtype=torch.int64), ValueError, "one or more of the 4 samples"),
        (slice(4, 9), ValueError, "names none of the 4 samples"),
        (torch.tensor([True]), ValueError, "a value for each of the 4 samples, got 1"),
        (torch.tensor([0.0]), TypeError, "a tensor of torch.float32"),
        (torch.tensor(0), TypeError, "shape \\(\\)"),
        ("0", TypeError, "got '0'"),
    ],
)
def test_other_rows_are_refused(rows, error, message):
    with pytest.raises(error, match=message):
        rows_of(rows, X)
