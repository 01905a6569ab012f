"""The networks that the command line builds, by name and from a user's file."""

import json
import re
from dataclasses import replace
from math import prod

import pytest
import torch
from torch import nn

from altmin import problem_of
from altmin.cli import main
from altmin.data import Dataset, Split
from altmin.nn import Elman, Residual, Sign
from altmin.study.model_source import ModelSource
from altmin.study.networks import NETWORKS, binary, defaults, elman, lenet5, mlp, residual
from altmin.study.setup import Setup

pytestmark = pytest.mark.usefixtures("training_alone")

IMAGE = (1, 12, 16)
USER = """
from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass
class Size:
    hidden: int = 7


SHARED = nn.Sequential(nn.Linear(64, Size().hidden), nn.ReLU(), nn.Linear(7, 10))


def net():
    return SHARED


def few():
    return nn.Sequential(nn.Linear(64, 9))


def narrow():
    return nn.Sequential(nn.Linear(60, 10))


def images():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10))


def unknown():
    return nn.Sequential(nn.Linear(64, 8), nn.Tanhshrink(), nn.Linear(8, 10))


def module():
    return nn.Linear(64, 10)


def late():
    return missing
"""


@pytest.fixture
def user(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(USER)
    return path


def kinds(model):
    return [type(module).__name__ for module in model]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("inputs", [IMAGE, (3, 13, 12)])
def test_each_takes_flat_samples_and_is_read(name, inputs):
    model = NETWORKS[name](inputs, 5)
    assert model(torch.randn(2, prod(inputs))).shape == (2, 5)
    problem = problem_of(model)
    assert problem.outputs == 5
    assert problem.inputs == (None if name == "elman" else prod(inputs))


def test_mlp():
    model = mlp((3, 2), 4, hidden=(5, 6), activation="tanh", batch_norm=True)
    assert kinds(model) == ["Linear", "BatchNorm1d", "Tanh", "Linear", "BatchNorm1d", "Tanh", "Linear"]
    shapes = [tuple(m.weight.shape) for m in model if isinstance(m, nn.Linear)]
    assert shapes == [(5, 6), (6, 5), (4, 6)]
    assert [m.bias is None for m in model if isinstance(m, nn.Linear)] == [True, True, False]
    assert kinds(mlp((3,), 4, hidden=())) == ["Linear"]


def test_lenet5_has_the_known_number_of_weights():
    model = lenet5((1, 28, 28), 10)
    assert kinds(model)[1:4] == ["Conv2d", "ReLU", "MaxPool2d"]
    convolutions = 6 * (25 + 1) + 16 * (6 * 25 + 1)
    assert sum(p.numel() for p in model.parameters()) == convolutions + 401 * 120 + 121 * 84 + 85 * 10 == 61706


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((64,), "takes images, but a sample is 64 numbers"),
        ((1, 8, 8), "12 x 12 pixels or more, got 8 x 8"),
        ((1, 28, 11), "got 28 x 11"),
    ],
)
def test_lenet5_refuses(inputs, message):
    with pytest.raises(ValueError, match=message):
        lenet5(inputs, 10)


def test_elman_reads_so_many_numbers_a_step():
    rows, pixels = elman((1, 4, 6), 3, hidden=(5,), step_width=6), elman((1, 4, 6), 3)
    assert kinds(rows) == ["Elman", "ReLU", "Flatten", "Linear"]
    assert isinstance(rows[0], Elman)
    assert isinstance(pixels[0], Elman)
    assert (rows[0].inputs, rows[0].hidden, rows[3].in_features) == (6, 5, 4 * 5)
    assert (pixels[0].inputs, pixels[0].hidden, pixels[3].in_features) == (1, 15, 24 * 15)
    with pytest.raises(ValueError, match="`step_width` must divide the 24 numbers of a sample, got 7"):
        elman((1, 4, 6), 3, step_width=7)
    with pytest.raises(ValueError, match="elman takes 1 hidden width"):
        elman((24,), 3, hidden=(5, 5))


def test_binary():
    model = binary((9,), 3, hidden=(5, 4))
    assert kinds(model) == ["Linear", "Dropout", "Sign", "Linear", "Dropout", "Tanh", "Linear"]
    assert isinstance(model[2], Sign)
    assert {m.p for m in model if isinstance(m, nn.Dropout)} == {0.2}
    assert [tuple(m.weight.shape) for m in model if isinstance(m, nn.Linear)] == [(5, 9), (4, 5), (3, 4)]
    with pytest.raises(ValueError, match="binary takes 2 hidden width"):
        binary((9,), 3, hidden=(5,))


@pytest.mark.parametrize("depth", [2, 3, 7])
def test_residual_adds_up_pre_activations(depth):
    model = residual((4,), 3, hidden=(5,), depth=depth).double()
    first, *inner, last = (m for m in model.modules() if isinstance(m, nn.Linear))
    assert len(inner) == depth - 2
    assert sum(isinstance(m, Residual) for m in model) == depth - 2
    x = torch.randn(6, 4, dtype=torch.float64)
    z = x @ first.weight.T + first.bias
    for layer in inner:
        z = z + z.clamp_min(0) @ layer.weight.T + layer.bias
    torch.testing.assert_close(model(x), z.clamp_min(0) @ last.weight.T + last.bias)


def test_residual_refuses():
    with pytest.raises(ValueError, match=r"`depth` counts .* 2 or more, got 1"):
        residual((4,), 3, depth=1)
    with pytest.raises(ValueError, match="residual takes 1 hidden width"):
        residual((4,), 3, hidden=())


def test_defaults_are_what_a_model_takes():
    assert defaults("mlp") == {"hidden": (128, 128), "activation": "relu", "batch_norm": False}
    assert defaults("lenet5") == {}
    with pytest.raises(ValueError, match=r"unknown `model` 'lenet'; did you mean 'lenet5'\?.*or FILE.py:FUNCTION"):
        defaults("lenet")


def test_source_makes_a_fresh_network_from_the_text_that_was_read(user):
    source = ModelSource.read(user, "net")
    first = source.build()
    user.write_text("changed after it was read")
    second = source.build()
    assert kinds(first) == ["Linear", "ReLU", "Linear"]
    assert first[0] is not second[0]


def test_source_runs_as_python_would(user):
    user.write_text("def net(width: int = 3):\n    assert net.__annotations__ == {'width': int}, __file__\n")
    with pytest.raises(TypeError, match=r"must return an nn.Sequential, got NoneType"):
        ModelSource.read(user, "net").build()


@pytest.mark.parametrize(
    ("function", "text", "message"),
    [
        ("nett", USER, "mine.py has no function 'nett'"),
        ("SHARED", "SHARED = 3", "mine.py has no function 'SHARED'"),
        ("late", USER, f"mine.py, line {USER.splitlines().index('    return missing') + 1}: NameError"),
        ("net", "import nothing_of_that_name", "line 1: ModuleNotFoundError"),
        ("net", "def net(:", "SyntaxError: .*line 1"),
        ("net", "def net(width):\n    return width", "missing 1 required positional argument"),
    ],
)
def test_source_refuses(user, function, text, message):
    user.write_text(text)
    with pytest.raises(ValueError, match=message):
        ModelSource.read(user, function).build()


def run(out, command, *options):
    return main([*command.split(), *options, "--threads", "1", "--quiet", "--epochs", "2", "--out", str(out)])


def results(out):
    return json.loads((out / "results.json").read_text())["runs"]


def predicted(out, capsys, *options):
    capsys.readouterr()
    assert main(["predict", str(out), *options]) == 0
    return capsys.readouterr().out


MODELS = {
    "elman --hidden 4 --step-width 8": ("elman 64-4-10", {"hidden": [4], "step_width": 8}),
    "binary --hidden 8 6": ("binary 64-8-6-10", {"hidden": [8, 6]}),
    "residual --hidden 8 --depth 6": ("residual 64-5x8-10", {"hidden": [8], "depth": 6}),
    "residual --hidden 8 --depth 4": ("residual 64-8-8-8-10", {"hidden": [8], "depth": 4}),
    "mlp --hidden 9 7 --activation tanh": ("64-9-7-10", {"hidden": [9, 7], "activation": "tanh", "batch_norm": False}),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("trials")
def test_models_are_trained_named_and_found_again(model, tmp_path, capsys):
    title, options = MODELS[model]
    assert run(tmp_path, f"train adam --model {model}") == 0
    assert capsys.readouterr().out.startswith(f"digits, {title}, adam")
    (result,) = results(tmp_path)
    assert result["model"] == model.split()[0]
    assert result.items() >= options.items()
    assert f"accuracy {result['test_accuracy']:.2%}" in predicted(tmp_path, capsys)


@pytest.fixture
def pictures(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    one, two, three = (Split(torch.rand(20, prod(IMAGE), generator=generator), torch.arange(20) % 2) for _ in range(3))
    data = Dataset("digits", one, two, three, ("even", "odd"), (prod(IMAGE),), IMAGE)
    monkeypatch.setattr("altmin.cli.data.load", lambda *args, **more: data)
    return data


def test_lenet5_is_trained_and_found_again(pictures, tmp_path, capsys):
    assert run(tmp_path, "compare am-adam adam --model lenet5 --seeds 1") == 0
    assert "digits, lenet5 192-6-16-120-84-2, accuracy" in capsys.readouterr().out
    for result in results(tmp_path):
        assert result["widths"] == [192, 6, 16, 120, 84, 2]
        assert f"{result['test_accuracy']:.2%}" in predicted(tmp_path / result["method"], capsys)


def test_a_table_is_no_image(pictures, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("altmin.cli.data.load", lambda *args, **more: replace(pictures, image=None))
    assert run(tmp_path, "train adam --model lenet5") == 2
    assert "lenet5 takes images, but a sample is 192 numbers" in capsys.readouterr().err


def test_a_network_of_ones_own_is_kept_with_its_weights(user, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(out, f"train adam --model {user}:net --dtype float64") == 0
    assert capsys.readouterr().out.startswith("digits, mine.py:net 64-7-10, adam")
    assert json.loads((out / "model.json").read_text())["model"] == "model.py:net"
    assert (out / "model.py").read_text() == USER
    user.unlink()
    (result,) = results(out)
    assert main(["predict", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"altmin: error: {out / 'model.py'}: ")
    assert "net()" in error
    assert "--trust-model-code" in error
    assert error.count("\n") == 1
    assert f"{result['test_accuracy']:.2%}" in predicted(out, capsys, "--trust-model-code")
    assert json.loads((out / "model.json").read_text())["run"] == result["run"]


def test_every_method_of_a_comparison_starts_at_ones_own_network(user, tmp_path, capsys):
    out = tmp_path / "out"
    options = ["--sgd.lr", "1e-30", "--adagrad.lr", "1e-30", "--seeds", "1"]
    assert run(out, f"compare sgd adagrad --model {user}:net", *options) == 0
    first, second = results(out)
    assert first["objective"] == pytest.approx(second["objective"])
    assert "64-7-10" in capsys.readouterr().out
    assert (out / "sgd" / "model.py").read_text() == USER


def test_a_file_of_ones_own_is_not_replaced(user, tmp_path, capsys):
    (tmp_path / "model.py").write_text("mine as well")
    assert run(tmp_path, f"train adam --model {user}:net") == 2
    assert "name another folder" in capsys.readouterr().err
    assert (tmp_path / "model.py").read_text() == "mine as well"
    (tmp_path / "model.py").unlink()
    assert run(tmp_path, f"train adam --model {user}:net") == 0
    user.write_text(user.read_text() + "\n")  # a run's folder: its files are replaced, if that is asked for
    assert run(tmp_path, f"train adam --model {user}:net") == 0
    assert (tmp_path / "model.py").read_text() != user.read_text()
    assert run(tmp_path, f"train adam --model {user}:net --overwrite") == 0
    assert (tmp_path / "model.py").read_text() == user.read_text()


WRONG = {
    "--model lenet": "did you mean 'lenet5'?",
    "--model mine.py": "FILE.py:FUNCTION",
    "--model nowhere.py:net": "nowhere.py",
    "--model mine.py:nett": "no function 'nett'",
    "--model mine.py:late": "NameError",
    "--model mine.py:module": "must return an nn.Sequential, got Linear",
    "--model mine.py:unknown": "module 1 (Tanhshrink) is not supported",
    "--model mine.py:narrow": "mine.py:narrow takes 60 features, but digits has 64",
    "--model mine.py:few": "mine.py:few gives 9 outputs, but digits has 10",
    "--model mine.py:images": "samples of shape (64,) do not fit the network",
    "--model mine.py:net --hidden 3": "does not take --hidden",
    "--model lenet5": "12 x 12 pixels or more, got 8 x 8",
    "--model lenet5 --hidden 3": "--model lenet5 does not take --hidden",
    "--model elman --activation tanh": "--model elman does not take --activation",
    "--model elman --hidden 3 4": "elman takes 1 hidden width(s) (--hidden), got 2",
    "--model elman --step-width 5": "must divide the 64",
    "--model binary --batch-norm": "--model binary does not take --batch-norm",
    "--model residual --depth 1": "--depth counts",
    "--model residual --step-width 8": "--model residual does not take --step-width",
    "--depth 3": "--model mlp does not take --depth",
}


@pytest.mark.thinned(1)
@pytest.mark.parametrize("options", WRONG)
@pytest.mark.parametrize("command", ["train adam", "compare"])
def test_what_does_not_fit_is_refused_before_training(command, options, user, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path / "out", f"{command} {options}") == 2
    text = capsys.readouterr()
    assert text.err.startswith("altmin: error: ")
    assert text.err.count("\n") == 1
    assert WRONG[options] in text.err
    assert (text.out, list(tmp_path.iterdir())) == ("", [user])


def test_yaml_and_the_printed_configuration(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "adam", "--model", "residual", "--print-config"])
    config = tmp_path / "run.yaml"
    config.write_text(re.sub("depth: null", "depth: 3", capsys.readouterr().out))
    assert run(tmp_path, f"train adam --config {config}") == 0
    assert results(tmp_path)[0]["widths"] == [64, 100, 100, 10]


def test_a_small_product_takes_one_thread(pictures):
    def threads(*layers):
        problem = problem_of(nn.Sequential(*layers))
        return Setup(dataset=pictures, network=None).threads_of(Small(), problem)  # type: ignore[arg-type]

    class Small:
        default_batch = None

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        width = 2**25 // (20 * 192)
        assert threads(nn.Linear(192, width), nn.ReLU(), nn.Linear(width, 2)) == 1
        assert threads(nn.Linear(192, width + 1), nn.ReLU(), nn.Linear(width + 1, 2)) == 2
        image = nn.Unflatten(1, IMAGE)
        assert threads(image, nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(280, 2)) == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    "options", ["--model mine.py:late", "--model lenet", "--model elman --depth 3", "--activation rellu"]
)
def test_what_needs_no_data_is_checked_before_they_are_read(options, user, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("altmin.cli.data.load", lambda *args, **more: pytest.fail("the data were read"))
    assert run(tmp_path / "out", f"train adam {options}") == 2
