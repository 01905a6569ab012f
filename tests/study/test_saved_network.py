import json

import pytest
import torch
from safetensors.torch import save_file

from altmin import DataError
from altmin.errors import UntrustedCodeError
from altmin.files import digest, replacing
from altmin.study.activation_names import ACTIVATION_NAMES
from altmin.study.description import MOST, NetworkDescription, Origin
from altmin.study.model_source import ModelSource
from altmin.study.saved_network import load, save

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
    loaded, again = load(tmp_path, trust_code=True)
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
    with pytest.raises(ValueError, match="unknown `dtype` 'float16'"):
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
        {"data": []},
        {"data": {"seed": "0"}},
        {"data": {"table": {"train": ["a.csv"]}}},
        {"outputs": "3"},
        {"outputs": True},
        {"outputs": 3.0},
        {"outputs": float("inf")},
        {"outputs": -3},
        {"outputs": 2**70},
        {"inputs": []},
        {"inputs": [0]},
        {"inputs": [2**40, 2**40]},
        {"inputs": ["2"]},
        {"options": {"hidden": [True]}},
        {"options": {"hidden": [-1]}},
        {"options": {"hidden": [1] * 5_000}},
        {"options": {"hidden": [10**18]}},
        {"options": {"hidden": [[2]]}},
        {"options": {"batch_norm": "no"}},
        {"options": {"activation": ["relu"]}},
        {"model": "residual", "options": {"hidden": [2], "depth": 10**9}},
        {"model": "elman", "options": {"step_width": 0}},
        {"classes": ["a", "b"]},
        {"classes": ["a", "b", 3]},
        {"dtype": ["float32"]},
        {"loss": None},
        {"run": 3},
        {"sha256": "0"},
        {"sha256": {"model.safetensors": 0}},
        {"tensors": ["0.weight"]},
    ],
    ids=lambda change: str(change)[:40],
)
def test_damaged_descriptions(tmp_path, change):
    description = NetworkDescription(**SMALL)
    save(description, description.build(), tmp_path)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="not a model's description") as caught:
        load(tmp_path)
    assert len(str(caught.value)) <= 500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "[" * 100_000, '{"a": ' * 100_000, "\x00", '"' + "a" * MOST + '"', '{"outputs": 1e400}', "1" * 5_000],
    ids=["empty", "list", "deep list", "deep objects", "zero", "huge", "infinite", "many digits"],
)
def test_what_is_no_description(tmp_path, text):
    save(description := NetworkDescription(**SMALL), description.build(), tmp_path)
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError, match="not a model's description"):
        load(tmp_path)


def test_a_description_that_could_not_be_read_again_is_not_made():
    with pytest.raises(ValueError, match=r"names of 3 classes do not fit"):
        NetworkDescription(**SMALL, classes=("a", "b", "c" * MOST))


def test_weights_of_another_run_are_refused(tmp_path):
    """Even where they fit: each network predicts only by what it was saved with."""
    for seed in (0, 1):
        description = NetworkDescription(**SMALL)
        save(description, description.build(seed), tmp_path / str(seed))
    (tmp_path / "0" / "model.safetensors").write_bytes((tmp_path / "1" / "model.safetensors").read_bytes())
    with pytest.raises(
        DataError, match=r"model\.safetensors: not the file that model\.json describes: expected SHA-256"
    ):
        load(tmp_path / "0")


def test_a_flipped_bit_is_refused(tmp_path):
    save(description := NetworkDescription(**SMALL), description.build(), tmp_path)
    weights = bytearray((tmp_path / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(DataError, match="expected SHA-256"):
        load(tmp_path)


def test_an_end_between_the_files_is_seen(tmp_path, monkeypatch):
    save(description := NetworkDescription(**SMALL), description.build(0), tmp_path)
    monkeypatch.setattr("altmin.study.saved_network.write_json", lambda path, values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(description, description.build(1), tmp_path)
    with pytest.raises(DataError, match="not the file that"):
        load(tmp_path)


def test_a_folder_without_digests_says_how_to_vouch_for_it(tmp_path):
    save(description := NetworkDescription(**SMALL), description.build(), tmp_path)
    values = json.loads((tmp_path / "model.json").read_text())
    old = {name: value for name, value in values.items() if name not in ("sha256", "tensors", "run")}
    (tmp_path / "model.json").write_text(json.dumps(old))
    with pytest.raises(DataError, match="does not say which file belongs to it") as caught:
        load(tmp_path)
    advice = json.loads("{" + str(caught.value).split("add ")[1].removesuffix(" there") + "}")
    (tmp_path / "model.json").write_text(json.dumps(old | advice))
    assert load(tmp_path)[1] == description


@pytest.fixture
def own(tmp_path):
    """A network of a user's own in a folder, and the file that its code writes when it runs."""
    ran = tmp_path / "ran"
    text = f"""from pathlib import Path
import torch.nn as nn


def net():
    Path({str(ran)!r}).touch()
    return nn.Sequential(nn.Linear(2, 3))
"""
    description = NetworkDescription(model=ModelSource("mine.py", "net", text), inputs=(2,), outputs=3)
    save(description, description.build(), tmp_path / "run")
    ran.unlink()
    return tmp_path / "run", ran


def test_code_runs_only_where_it_is_trusted(own):
    folder, ran = own
    with pytest.raises(UntrustedCodeError, match=r"model\.py: .* net\(\) .* --trust-model-code \(.*trust_code=True\)"):
        load(folder)
    assert not ran.exists()
    load(folder, trust_code=True)
    assert ran.exists()


def shape(folder):
    save_file({"0.weight": torch.zeros(3, 1), "0.bias": torch.zeros(3)}, folder / "model.safetensors")


def other(folder):
    save_file({"0.weight": torch.zeros(3, 2), "0.bias": torch.zeros(3)}, folder / "model.safetensors")


def code(folder):
    (folder / "model.py").write_text((folder / "model.py").read_text() + "\n")


def device(folder):
    (folder / "model.py").unlink()
    (folder / "model.py").symlink_to("/dev/zero")


def huge(folder):
    (folder / "model.py").write_text(" " * 2**21)


@pytest.mark.parametrize("change", [shape, other, code, device, huge])
def test_code_runs_only_beside_its_weights(own, change):
    folder, ran = own
    change(folder)
    with pytest.raises(DataError, match=r"model\.(safetensors|py|json): "):
        load(folder, trust_code=True)
    assert not ran.exists()


def test_code_that_makes_other_tensors_is_named(own):
    folder, _ = own
    values = json.loads((folder / "model.json").read_text())
    text = (folder / "model.py").read_text().replace("Linear(2, 3)", "Linear(2, 4)")
    (folder / "model.py").write_text(text)
    values["sha256"]["model.py"] = digest(folder / "model.py")
    (folder / "model.json").write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"model\.py:net describes: '0.weight': expected float32 \[4, 2\], found"):
        load(folder, trust_code=True)


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
