import json

import pytest
import torch

from altmin import DataError
from altmin.checkpoint import ACTIVATION_NAMES, Description, Origin, load, replacing, save

TABLE = Origin(name="csv", seed=3, train_samples=7, table={"train": "a.csv", "target": "y"})


@pytest.mark.parametrize("activation", sorted(ACTIVATION_NAMES))
@pytest.mark.parametrize("batch_norm", [False, True])
def test_round_trip(tmp_path, activation, batch_norm):
    description = Description(
        widths=(4, 5, 3),
        activation=activation,
        batch_norm=batch_norm,
        dtype="float64",
        classes=("a", "b", "c"),
        data=TABLE,
    )
    model = description.build(seed=1)
    x = torch.randn(6, 4, dtype=torch.float64)
    model.train()(x)  # moves running statistics
    save(description, model, tmp_path / "new" / "folder")
    loaded, again = load(tmp_path / "new" / "folder")
    assert again == description
    assert not loaded.training
    torch.testing.assert_close(loaded(x), model.eval()(x), rtol=0, atol=0)


def test_only_the_two_files_are_left(tmp_path):
    description = Description(widths=(2, 3))
    save(description, description.build(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_build_depends_on_its_seed_alone():
    description = Description(widths=(3, 4, 2))
    before = torch.random.get_rng_state()
    first, second, other = description.build(5), description.build(5), description.build(6)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first[0].weight, second[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)


def test_batch_norm_takes_the_intercepts_place():
    model = Description(widths=(3, 4, 2), batch_norm=True).build()
    assert [type(module).__name__ for module in model] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert model[0].bias is None
    assert model[3].bias is not None


def test_unknown_names_have_the_nearest():
    with pytest.raises(ValueError, match="unknown activation 'rellu'; did you mean 'relu'"):
        Description(widths=(2, 2), activation="rellu")
    with pytest.raises(ValueError, match="unknown dtype 'float16'"):
        Description(widths=(2, 2), dtype="float16")
    with pytest.raises(ValueError, match="widths of 1 or more"):
        Description(widths=(2, 0, 2))


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(DataError, match=r"holds no model\.json"):
        load(tmp_path)
    description = Description(widths=(2, 3))
    save(description, description.build(), tmp_path / "adam")
    with pytest.raises(DataError, match="its folders adam do"):
        load(tmp_path)
    save(Description(widths=(2, 4)), Description(widths=(2, 4)).build(), tmp_path / "other")
    (tmp_path / "adam" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match="not the weights"):
        load(tmp_path / "adam")
    (tmp_path / "adam" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="not the weights"):
        load(tmp_path / "adam")
    (tmp_path / "adam" / "model.json").write_text(json.dumps({"widths": [2, 3], "colour": "red"}))
    with pytest.raises(DataError, match="not a model's description"):
        load(tmp_path / "adam")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path):
    with replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
