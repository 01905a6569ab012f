import json

import pytest
import torch

from altmin import DataError
from altmin.files import replacing
from altmin.study.networks import ACTIVATION_NAMES, ModelSource
from altmin.study.saved_network import NetworkDescription, Origin, load, save

TABLE = Origin(name="csv", seed=3, train_samples=7, table={"train": "a.csv", "target": "y"})
SMALL = {"inputs": (2,), "outputs": 3, "options": {"hidden": ()}}
MODELS = {
    **{name: {"options": {"hidden": (5,), "activation": name}} for name in ACTIVATION_NAMES},
    "batch norm": {"options": {"hidden": (5, 4), "batch_norm": True}},
    "lenet5": {"model": "lenet5", "inputs": (1, 12, 13)},
    "elman": {"model": "elman", "options": {"hidden": (4,), "step_width": 3}},
    "binary": {"model": "binary", "options": {"hidden": (5, 4)}},
    "residual": {"model": "residual", "options": {"hidden": (5,), "depth": 4}},
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(tmp_path, name, dtype):
    about = {"inputs": (6,), **MODELS[name], "dtype": str(dtype).removeprefix("torch.")}
    description = NetworkDescription(outputs=3, classes=("a", "b", "c"), data=TABLE, **about)
    model = description.build(seed=1)
    x = torch.randn(6, torch.Size(description.inputs).numel(), dtype=dtype)
    model.train()(x)  # moves running statistics
    save(description, model, tmp_path / "new" / "folder")
    loaded, again = load(tmp_path / "new" / "folder")
    assert again == description
    assert not loaded.training
    torch.testing.assert_close(loaded(x), model.eval()(x), rtol=0, atol=0)


def test_a_network_of_ones_own_is_found_again_without_its_file(tmp_path):
    text = "import torch.nn as nn\n\n\ndef net():\n    return nn.Sequential(nn.Linear(2, 3))  # drei größer zwei\n"
    source = ModelSource("elsewhere/mine.py", "net", text)
    description = NetworkDescription(model=source, inputs=(2,), outputs=3, dtype="float64")
    model = description.build()
    save(description, model, tmp_path)
    loaded, again = load(tmp_path)
    assert isinstance(again.model, ModelSource)
    assert (again.name, again.model.text) == ("model.py:net", text)
    assert torch.equal(loaded.get_parameter("0.weight"), model.get_parameter("0.weight"))
    (tmp_path / "model.py").unlink()
    with pytest.raises(DataError, match=r"cannot read the file .*model\.py"):
        load(tmp_path)


def test_only_the_two_files_are_left(tmp_path):
    description = NetworkDescription(**SMALL)
    save(description, description.build(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


def test_build_depends_on_its_seed_alone():
    description = NetworkDescription(inputs=(3,), outputs=2, options={"hidden": (4,)})
    before = torch.random.get_rng_state()
    first, second, other = description.build(5), description.build(5), description.build(6)
    assert torch.equal(torch.random.get_rng_state(), before)
    one, same, another = (model.get_parameter("0.weight") for model in (first, second, other))
    assert torch.equal(one, same)
    assert not torch.equal(one, another)


def test_a_description_is_checked_and_nothing_is_drawn():
    before = torch.random.get_rng_state()
    NetworkDescription(**SMALL)
    NetworkDescription(model="elman", inputs=(4,), outputs=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ValueError, match="unknown `activation` 'rellu'; did you mean 'relu'"):
        NetworkDescription(inputs=(2,), outputs=2, options={"activation": "rellu"})
    with pytest.raises(ValueError, match="unknown dtype 'float16'"):
        NetworkDescription(**SMALL, dtype="float16")
    with pytest.raises(ValueError, match="unknown `model` 'lenet'"):
        NetworkDescription(model="lenet", inputs=(2,), outputs=2)
    with pytest.raises(ValueError, match="widths of 1 or more"):
        NetworkDescription(inputs=(2,), outputs=2, options={"hidden": (0,)})
    with pytest.raises(TypeError, match="depth"):
        NetworkDescription(inputs=(2,), outputs=2, options={"depth": 3})


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(DataError, match=r"holds no model\.json"):
        load(tmp_path)
    description = NetworkDescription(**SMALL)
    save(description, description.build(), tmp_path / "adam")
    with pytest.raises(DataError, match="its folders adam do"):
        load(tmp_path)
    other = NetworkDescription(inputs=(2,), outputs=4, options={"hidden": ()})
    save(other, other.build(), tmp_path / "other")
    (tmp_path / "adam" / "model.safetensors").write_bytes((tmp_path / "other" / "model.safetensors").read_bytes())
    with pytest.raises(DataError, match="not the weights"):
        load(tmp_path / "adam")
    (tmp_path / "adam" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(DataError, match="not the weights"):
        load(tmp_path / "adam")


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"model": "lenet"},
        {"model": 3},
        {"options": {"depth": 3}},
        {"options": 3},
        {"options": {"hidden": "many"}},
        {"inputs": 2},
        {"outputs": None},
        {"data": {"shade": 3}},
    ],
)
def test_damaged_descriptions(tmp_path, change):
    description = NetworkDescription(**SMALL)
    save(description, description.build(), tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="not a model's description"):
        load(tmp_path)


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
