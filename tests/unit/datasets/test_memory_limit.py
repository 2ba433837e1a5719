"""Features in memory as far as that goes, and in files: the same numbers, and no more memory than was allowed."""

import copy
import errno
import pickle

import pytest
import torch

from wsvad.datasets.memory import Memory, StoredRows, bytes_of
from wsvad.errors import UsageError, WsvadError


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("1.5 gb", 15 * 10**8), ("500M", 5 * 10**8), ("2GiB", 2**31), ("4096", 4096), ("1kb", 1000)],
)
def test_sizes(text, size):
    assert bytes_of("--memory", text) == size


@pytest.mark.parametrize("text", ["", "8 gigs", "-1GB", "0", "GB", "1e9", "nan"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match=r"--memory .*: not a size; write it as in 8GB or 500MB"):
        bytes_of("--memory", text)


def test_memory_is_given_back_with_what_was_held():
    memory = Memory(4 * 24)
    first = memory.rows((2, 3, 4))
    assert isinstance(first, torch.Tensor) and not memory.takes(1)
    assert isinstance(memory.rows((1, 1, 1)), StoredRows)
    del first
    assert isinstance(memory.rows((2, 3, 4)), torch.Tensor)


def test_another_process_has_all_of_it():
    memory = Memory(4)
    held = memory.rows((1, 1, 1))
    assert pickle.loads(pickle.dumps(memory)).takes(4) and copy.deepcopy(memory).takes(4) and not memory.takes(4)
    assert held.shape == (1, 1, 1)


def test_rows_in_a_file_are_those_in_memory(tmp_path):
    x = torch.randn(7, 3, 4, dtype=torch.float64)
    stored = Memory(0, tmp_path).rows((7, 3, 4))
    assert isinstance(stored, StoredRows) and not list(tmp_path.iterdir())  # it has no name
    for row in torch.randperm(7).tolist():
        stored[row] = x[row]
    x = x.float()
    assert stored.shape == x.shape and len(stored) == 7
    for rows in (0, -1, [3, 1, 1], torch.tensor([[0, 6], [2, 2]]), torch.tensor([], dtype=torch.long)):
        assert torch.equal(stored[rows], x[rows])
    assert torch.equal(torch.stack(list(stored)), x)
    with pytest.raises(IndexError):
        stored[7]


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    stored = Memory(0, tmp_path).rows((1, 1, 1))

    class Full:
        def seek(self, place: int) -> None: ...

        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stored._file, "_file", Full())
    with pytest.raises(WsvadError, match=f"{tmp_path}: the disk is full; free some space"):
        stored[0] = torch.zeros(1, 1)
