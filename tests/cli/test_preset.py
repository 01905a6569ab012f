"""``--preset EXHIBIT``: a paper's training by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from altmin import exhibits
from altmin.cli import main
from altmin.cli.commandline import parse
from altmin.cli.numbers import configured
from altmin.cli.preset import preset
from altmin.cli.spelling import Spelling
from altmin.exhibits.exhibit import title
from altmin.exhibits.training import train
from altmin.methods.registry import METHODS
from cli.written import runs

TABLE = ["train", "--preset", "ipdlam-table1"]
DRAWN = ["--data", "digits", "--hidden", "4", "--epochs", "1", "--batch-size", "64", "--quiet"]

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


def run(out: str = "out") -> dict:
    (found,) = runs(out)
    return found


def test_it_is_the_exhibits_training(real_data: Path):
    """To the bit, where both are made smaller by the same options."""
    options = ["--data-dir", str(real_data), "--train-samples", "600", "--hidden", "8", "6", "--epochs", "3"]
    assert main([*TABLE, *options, "--quiet", "--out", "out"]) == 0
    setting = exhibits.load("ipdlam-table1").setting()
    small = replace(setting, train_samples=600, options={"hidden": (8, 6)}, epochs=3)
    outcome = train(small, 0, real_data)
    assert run()["objective"] == outcome.curve("objective")
    assert run()["data"] == "mnist-60k"
    assert run()["parameters"]["alpha"] == 0.7
    assert run()["kept_iteration"] == 3
    assert 100 * run()["test_accuracy"] == pytest.approx(100 * outcome.curve("test_accuracy")[-1])


def test_options_win_over_it_and_config_yaml_has_all():
    Path("run.yaml").write_text("alpha: 0.25\nbeta: 0.5\n")
    assert main([*TABLE, "--config", "run.yaml", "--beta", "0.125", *DRAWN, "--out", "out"]) == 0
    numbers = run()["parameters"]
    assert (numbers["alpha"], numbers["beta"], numbers["gamma"]) == (0.25, 0.125, 0.7)
    config = yaml.safe_load(Path("out/config.yaml").read_text())
    assert (config["method"], config["init"], config["keep"]) == ("ipdlam", "normal:0.01,bias:0.1", "last")
    assert "preset" not in config
    assert main(["train", "--config", "out/config.yaml", "--quiet", "--out", "again"]) == 0
    assert run("again")["objective"] == run()["objective"]


@pytest.mark.parametrize("name", ["ipdlam-figure1/DLAM", "ipdlam-figure3/sgd"])
def test_results_have_its_name_also_when_made_again(name: str):
    """Also of a baseline, among whose numbers `preset` is another one."""
    line = ["train", "--preset", name, *DRAWN]
    assert main([*line, "--alpha" if "DLAM" in name else "--lr", "0.25", "--out", "out"]) == 0
    assert run()["preset"] == name
    assert yaml.safe_load(Path("out/config.yaml").read_text())["from_preset"] == name
    assert main(["train", "--config", "out/config.yaml", "--quiet", "--out", "again"]) == 0
    for key in ("preset", "parameters", "objective"):
        assert run("again")[key] == run()[key]


def test_no_preset_leaves_no_name():
    assert main(["train", "bcd", "--hidden", "4", "--epochs", "1", "--quiet", "--out", "out"]) == 0
    assert "preset" not in run()


def test_a_second_method_is_not_of_the_preset():
    assert main([*TABLE, *DRAWN, "--then", "sgd", "--then.epochs", "1", "--out", "out"]) == 0
    first, second = runs()
    assert (first["preset"], "preset" in second) == ("ipdlam-table1", False)


def test_a_network_of_the_users_own_takes_nothing_of_the_exhibits():
    assert main([*TABLE, "--model", "residual", "--depth", "3", *DRAWN, "--out", "out"]) == 0
    assert run()["widths"] == [64, 4, 4, 10]


def test_yaml_can_name_it():
    Path("run.yaml").write_text("preset: ipdlam-figure1/DLAM\n")
    assert main(["train", "--config", "run.yaml", *DRAWN, "--out", "out"]) == 0
    assert run()["method"] == "dlam"


@pytest.mark.parametrize("spelled", ["ipdlam", "--preset=ipdlam-table1"])
def test_its_method_may_be_named(spelled: str):
    line = ["train", spelled] if spelled.startswith("--") else ["train", spelled, *TABLE[1:]]
    assert main([*line, *DRAWN, "--out", "out"]) == 0
    assert (run()["method"], run()["parameters"]["rho_max"]) == ("ipdlam", 100.0)


def test_behind_a_baseline_it_is_the_baselines_own():
    small = ["--hidden", "4", "--epochs", "1", "--batch-size", "64", "--quiet"]
    assert main(["train", "sgd", "--preset", "ipdlam", *small, "--out", "out"]) == 0
    assert run()["parameters"]["preset"] == "ipdlam"
    Path("run.yaml").write_text("method: sgd\npreset: dladmm\n")
    assert main(["train", "--config", "run.yaml", *small, "--out", "yaml"]) == 0
    assert run("yaml")["parameters"]["preset"] == "dladmm"
    assert main(["train", "--preset", "ipdlam-figure3/sgd", *DRAWN, "--out", "exhibit"]) == 0
    assert run("exhibit")["method"] == "sgd"


def outcome_of(spec: str) -> tuple[str, str]:
    """The method of a preset, or why there is none."""
    try:
        return preset(spec, {"epochs", "train_samples"})[0], ""
    except ValueError as error:
        return "", str(error)


def test_every_exhibit_is_made_or_refused_with_what_to_do(capsys: pytest.CaptureFixture[str]):
    """The numbers that the command line gives the method are those of the exhibit."""
    made = set()
    for name in exhibits.names():
        exhibit = exhibits.load(name)
        panel = next(iter(exhibit.panels))
        for arm in list(exhibit.arms)[:3]:
            spec, setting = f"{name}/{panel}/{title(arm)}", exhibit.setting(panel, arm)
            method, refusal = outcome_of(spec)
            assert method or f"no METHOD of train is {type(setting.method).__name__}(" in refusal
            if method and (name, method) not in made:
                options = ["train", "--preset", spec, "--epochs", "1", "--train-samples", "9"]
                assert configured(METHODS[method].method, parse(options, Spelling())) == setting.method
                made.add((name, method))
    assert {method for _, method in made} >= {"ipdlam", "dlam", "mdlam", "dladmm", "am-adam", "am-sgd", "sgd", "dtp"}


WRONG = {
    "--preset ipdlam-tabel1": "unknown exhibit 'ipdlam-tabel1'; did you mean 'ipdlam-table1'?",
    "--preset ipdlam-table1/MNST": "unknown panel or arm 'MNST'; did you mean 'MNIST'?",
    "--preset IPDLAM_Table_1": "did you mean 'ipdlam-table1'?",
    "--preset table1": "did you mean 'ipdlam-table1'?",
    "--preset online-mnist": "did you mean 'online-mnist-batches', 'online-mnist-epochs' or 'online-mnist-time'?",
    "--preset online-figure2a": "did you mean 'online-mnist-batches', 'online-mnist-epochs' or 'online-authors'?",
    "--preset dladmm-table1": "did you mean 'dladmm-table2' or 'dladmm-table3'?",
    "--preset xyz": "unknown exhibit 'xyz'; known: ipdlam-figure1, ",
    "--preset ipdlam-table1/mnist": "unknown panel or arm 'mnist'; did you mean 'MNIST'?",
    "--preset ipdlam-table1/fashion": "did you mean 'Fashion-MNIST'?",
    "--preset ipdlam-table1/factor0.2": "did you mean 'factor 0.2'?",
    "--preset ipdlam-table1/MNIST/0.2": "did you mean 'factor 0.2'?",
    "--preset mdlam-table2/MNIST/1/5": "did you mean '0.0001, 1/5', '0.001, 1/5' or '0.01, 1/5'? known: 0.0001, 1/5; ",
    "--preset ipdlam-table1/MNIST/x": "unknown panel or arm 'x'; known: factor 0.1, ",
    "--preset": "--preset needs a value: an exhibit",
    "--preset --epochs 3": "--preset needs a value: an exhibit",
    "--preset ipdlam-table1 --preset ipdlam-figure1": "--preset stands there 2 times; keep one",
    "dlam --preset ipdlam-table1": "--preset ipdlam-table1 trains by ipdlam, not by dlam; leave one of them out",
    "--preset online-higgs": "ends after 52,500 mini-batches, and train counts epochs; add --epochs",
    "--preset dladmm-table3": "trains on 20% of the samples, and train counts them; add --train-samples",
    "--preset ipdlam-table1 --alhpa 3": "unknown option --alhpa; did you mean --alpha?",
    "--preset ipdlam-table1 --alpha -3": "--alpha must be >= 0, got -3.0",
    "--preset ipdlam-table1 --data digits --batch-size 2000": "--batch-size is 2000, but there are 1079 samples",
    "--preset ipdlam-table1 --data digits --train-samples 90": "--preset ipdlam-table1: `batch_size` is 512",
    "sgd --preset ipdlam-table1": "--preset must be none, ipdlam, dladmm",
    "--epochs 1": "name the method first: altmin train METHOD [options], or a paper's run: altmin train --preset",
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(line: str, here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", *line.split(), "--out", "out"]) == 2
    text = capsys.readouterr().err
    assert text.startswith("altmin: error: ")
    assert WRONG[line] in text
    assert "--import" not in text
    assert text.count("\n") == 1
    assert not (here / "out").exists()


def test_what_validation_chooses_is_said(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "--preset", "online-lenet5", "--data", "synthetic", "--train-samples", "-1"]) == 2
    assert "the exhibit chooses among 3 settings by validation; this is one of them" in capsys.readouterr().err


def test_help_has_it_where_it_is_no_number(capsys: pytest.CaptureFixture[str]):
    for line, is_exhibit in (("train ipdlam --help", True), ("train --help", True), ("train sgd --help", False)):
        with pytest.raises(SystemExit):
            main(line.split())
        assert ("--preset EXHIBIT" in capsys.readouterr().out) == is_exhibit
