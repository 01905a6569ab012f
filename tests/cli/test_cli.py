import csv
import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import matplotlib.image
import pytest
import torch
from safetensors.torch import load_file

import altmin
from altmin.audit import Gradients
from altmin.cli import main
from altmin.data import names
from altmin.data.images import MNIST
from altmin.methods.registry import METHODS, listed
from altmin.study.setup import Setup

pytestmark = pytest.mark.usefixtures("same_threads", "training_alone")

SMALL = ["--hidden", "8", "--threads", "1", "--seeds", "1"]
FEW = ["--hidden", "3", "--threads", "1", "--train-samples", "30", "--seeds", "1"]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def train(out, method, *options):
    return main(["train", method, *SMALL, "--out", str(out), *options])


def results(out):
    return json.loads((out / "results.json").read_text(), parse_constant=pytest.fail)["runs"]


def rows_of(path):
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.usefixtures("trials")
def test_train_writes_everything(out, capsys):
    assert train(out, "adam", "--epochs", "12", "--lr", "0.01") == 0
    (run,) = results(out)
    assert run["method"] == "adam"
    assert run["parameters"]["lr"] == 0.01
    assert (run["data"], run["hidden"], run["epochs"], run["iterations"]) == ("digits", [8], 12, 12)
    assert (run["status"], run["seed"], run["threads"], run["batch_size"]) == ("ok", 0, 1, 200)
    assert len(run["objective"]) == 12
    assert run["seconds"] > 0
    assert run["cpu_seconds"] > 0
    assert run["best_iteration"] == run["kept_iteration"]
    assert 0.5 < run["test_accuracy"] <= 1
    assert 0.5 < run["train_accuracy"] <= 1
    assert run["versions"].keys() == {"altmin", "torch", "python"}
    rows = rows_of(out / "curves.csv")
    assert [float(row["objective"]) for row in rows] == run["objective"]
    assert float(rows[-1]["elapsed_cpu_seconds"]) == pytest.approx(run["cpu_seconds"])
    assert load_file(out / "model.safetensors").keys() == {"0.weight", "0.bias", "2.weight", "2.bias"}
    text = capsys.readouterr().out
    first = ["digits", "memory", *(f"adam {i}/12" for i in (1, 2, 5, 10, 12))]
    assert [line.split(":")[0] for line in text.splitlines()[:7]] == first
    assert "digits: 1,079 training, 359 validation, 359 test samples, 64 features, 10 classes" in text
    assert f"{100 * run['test_accuracy']:.2f}" in text
    assert f"{100 * run['last_test_accuracy']:.2f}" in text
    assert str(out) in text


def test_predict_gives_the_accuracy_that_train_reported(out, capsys):
    train(out, "am-adam", "--epochs", "4", "--seed", "3", "--quiet")
    capsys.readouterr()
    assert main(["predict", str(out), "--out", str(out / "p.csv")]) == 0
    (run,) = results(out)
    assert f"accuracy {run['test_accuracy']:.2%}" in capsys.readouterr().out
    rows = rows_of(out / "p.csv")
    assert list(rows[0]) == ["index", "predicted", "label"]
    right = sum(row["predicted"] == row["label"] for row in rows)
    assert right / len(rows) == pytest.approx(run["test_accuracy"])


def test_keep_chooses_the_weights(out):
    options = ["--epochs", "30", "--alpha", "1.3", "--beta", "1.3", "--gamma", "1.3", "--quiet"]
    train(out / "best", "ipdlam", *options)
    train(out / "last", "ipdlam", *options, "--keep", "last")
    (best,), (last,) = results(out / "best"), results(out / "last")
    assert best["kept_iteration"] == best["best_iteration"] < 30
    assert last["kept_iteration"] == 30
    assert best["validation_accuracy"] > last["validation_accuracy"]
    assert best["last_test_accuracy"] == last["test_accuracy"]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_has_its_options_with_their_meaning(method, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", method, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in asdict(METHODS[method].method):
        option = name.replace("_", "-")
        assert name == "optimizer" or f"--{option}" in text


def test_help_has_meaning_default_and_the_papers_value(capsys):
    with pytest.raises(SystemExit):
        main(["train", "dladmm", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "penalty of the last layer at the start; > 0; paper: 1e-6 (type: float, default: 1e-06)" in text


def test_nested_numbers_reach_the_method(out):
    options = [
        "--codes.lr",
        "0.5",
        "--rule.lr",
        "0.003",
        "--last.lr",
        "0.004",
        "--mu.start",
        "0.2",
        "--weight-steps",
        "2",
    ]
    assert train(out, "am-adam", "--epochs", "1", "--quiet", *options) == 0
    numbers = results(out)[0]["parameters"]
    assert (numbers["codes"]["lr"], numbers["rule"]["lr"], numbers["last"]["lr"]) == (0.5, 0.003, 0.004)
    assert (numbers["mu"]["start"], numbers["weight_steps"]) == (0.2, 2)


def test_options_of_network_and_training(out):
    options = [
        "--batch-norm",
        "--activation",
        "tanh",
        "--dtype",
        "float64",
        "--regularizer",
        "l2:1e-3",
        "--epochs",
        "2",
    ]
    assert (
        train(out, "sgd", *options, "--train-samples", "300", "--batch-size", "50", "--loss", "squared", "--quiet") == 0
    )
    (run,) = results(out)
    assert (run["loss"], run["regularizer"], run["batch_size"], run["train_samples"]) == ("squared", "l2:1e-3", 50, 300)
    weights = load_file(out / "model.safetensors")
    assert weights["1.running_mean"].dtype == torch.float64
    assert "0.bias" not in weights


@pytest.mark.usefixtures("trials", "picture")
def test_compare_writes_table_results_picture_and_weights(out, capsys):
    assert main(["compare", "dladmm", "adam", *SMALL, "--epochs", "6", "--out", str(out)]) == 0
    printed = capsys.readouterr()
    runs = results(out)
    assert [run["method"] for run in runs] == ["dladmm", "adam"]
    for run in runs:
        row = next(line.split() for line in printed.out.splitlines() if line.startswith(f"{run['method']}  "))
        assert row[1:3] == [run["loss"], f"{run['kept_iteration']}/6"]
        assert row[3] == f"{run['train_loss']:.3g}"
        assert row[7] == f"{100 * run['test_accuracy']:.2f}"
        assert main(["predict", str(out / run["method"])]) == 0
        assert f"{run['test_accuracy']:.2%}" in capsys.readouterr().out
    assert {row["method"] for row in rows_of(out / "curves.csv")} == {"dladmm", "adam"}
    height, width, _ = matplotlib.image.imread(out / "compare.png").shape
    assert width > height > 400
    assert printed.err.count("altmin: warning: --dladmm.rho = ") == 1
    for name in ("results.json", "summary.csv", "curves.csv", "compare.png", "model.safetensors"):
        assert name in printed.out


def test_compare_starts_every_method_at_the_same_weights(out):
    main(
        [
            "compare",
            "sgd",
            "adagrad",
            *SMALL,
            "--epochs",
            "1",
            "--out",
            str(out),
            "--sgd.lr",
            "1e-30",
            "--adagrad.lr",
            "1e-30",
        ]
    )
    first, second = (load_file(out / name / "model.safetensors") for name in ("sgd", "adagrad"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_compare_without_arguments_takes_the_alternating_methods_and_adam(out):
    assert main(["compare", *FEW, "--epochs", "1", "--quiet", "--out", str(out)]) == 0
    local = (Gradients.NONE, Gradients.LAYER)
    supported = [e.name for e in listed() if e.method.gradients in local and takes_relu(e)]
    assert [run["method"] for run in results(out)] == [*supported, "adam"]
    assert {"ipdlam", "dladmm", "am-mem"} <= set(supported)


def takes_relu(known):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 2))
    try:
        known.method.check(altmin.problem_of(model, known.loss))
    except TypeError:
        return False
    return True


@pytest.mark.slow
def test_compare_without_arguments_leaves_out_what_does_not_support_the_network(out, capsys):
    options = [
        "--model",
        "elman",
        "--step-width",
        "16",
        "--hidden",
        "3",
        "--train-samples",
        "60",
        "--epochs",
        "1",
        "--out",
        str(out),
        "--overwrite",
    ]
    assert main(["compare", *options]) == 0
    compared = [run["method"] for run in results(out)]
    assert "am-adam" in compared
    assert "dladmm" not in compared
    assert "dladmm is left out: DLADMM does not support Elman" in capsys.readouterr().out
    assert main(["compare", "dladmm", "am-adam", *options]) == 2
    assert "DLADMM does not support Elman" in capsys.readouterr().err


def test_epochs_by_default(capsys):
    setup = Setup(dataset=None, network=None, keep="last")  # type: ignore[arg-type]
    assert [setup.epochs_of(name) for name in ("ipdlam", "dladmm", "adam")] == [50, 100, 60]
    assert replace(setup, epochs=3).epochs_of("ipdlam") == 3
    with pytest.raises(SystemExit):
        main(["train", "adam", "--help"])
    assert "null: 60, full-batch methods 100, dlam 50, ipdlam 50" in " ".join(capsys.readouterr().out.split())


def test_audit_reaches_fit(out):
    assert train(out, "am-adam", "--epochs", "1", "--audit", "--quiet") == 0
    assert results(out)[0]["audit"] is True


@pytest.mark.parametrize(("precision", "dtype"), [("float64", "float64"), ("float32", "float32"), ("bf16", "float32")])
def test_precision_reaches_fit_and_the_network_on_disk(precision, dtype, out, monkeypatch, capsys):
    """Where the processor has no products in bfloat16, that is said, once."""
    monkeypatch.setattr("altmin.precision.cpu_rounds", lambda: False)
    other = "float32" if dtype == "float64" else "float64"
    train(out, "ipdlam", "--epochs", "2", "--dtype", other, "--precision", precision, "--quiet")
    (run,) = results(out)
    assert (run["precision"], run["dtype"]) == (precision, dtype)
    assert {str(t.dtype) for t in load_file(out / "model.safetensors").values()} == {f"torch.{dtype}"}
    assert capsys.readouterr().err.count("altmin: warning: --precision bf16") == (precision == "bf16")


@pytest.mark.parametrize("options", ["train adam", "compare dladmm adam", "compare dladmm sgd"])
def test_audit_refuses_backpropagation_before_training(options, out, capsys):
    assert main([*options.split(), *SMALL, "--audit", "--out", str(out)]) == 2
    assert_one_line(capsys, f"--audit refuses {options.split()[-1]}, whose label is 'full backpropagation'")
    assert not out.exists()


@pytest.mark.slow
def test_audit_without_methods_leaves_the_yardstick_out(out):
    assert main(["compare", *FEW, "--epochs", "1", "--audit", "--quiet", "--out", str(out)]) == 0
    compared = [METHODS[run["method"]].method.gradients for run in results(out)]
    assert compared
    assert set(compared) <= {Gradients.NONE, Gradients.LAYER}


def test_a_wrong_label_is_found_out_while_training(out, monkeypatch, capsys):
    monkeypatch.setattr(altmin.Backprop, "gradients", Gradients.LAYER)
    assert train(out, "adam", "--epochs", "1", "--audit", "--quiet") == 2
    assert_one_line(capsys, "--audit")


def test_compare_goes_on_after_divergence(out, capsys):
    assert main(["compare", "sgd", "adam", *SMALL, "--epochs", "2", "--sgd.lr", "1e30", "--out", str(out)]) == 0
    first, second = results(out)
    assert (first["status"], first["iterations"], first["objective"]) == ("diverged", 0, [])
    assert second["status"] == "ok"
    text = capsys.readouterr()
    assert "diverged" in next(line for line in text.out.splitlines() if line.startswith("sgd  "))
    assert "altmin: warning: sgd: training diverged: iteration 1" in text.err


def test_train_says_that_it_diverged(out, capsys):
    assert train(out, "sgd", "--epochs", "2", "--lr", "1e30", "--quiet") == 1
    assert capsys.readouterr().err.startswith("altmin: error: training diverged: iteration 1, block ")
    assert results(out)[0]["status"] == "diverged"
    assert main(["predict", str(out)]) == 0


FAR = """
from torch import nn

def make():
    model = nn.Sequential(nn.Linear(1, 1))
    nn.init.constant_(model[0].weight, 2e3)
    return model
"""


def test_train_says_that_it_ends_far_from_any_use(out, capsys, tmp_path):
    """Weights that are better than the start's are kept, and are no success."""
    (tmp_path / "far.py").write_text(FAR)
    (tmp_path / "table.csv").write_text("a,y\n" + "".join(f"{i * 37 % 100 / 7},{i * 59 % 97 / 9}\n" for i in range(80)))
    table = ["--csv.train", str(tmp_path / "table.csv"), "--csv.target", "y", "--task", "regression"]
    line = ["train", "sgd", "--lr", "1e-12", "--model", f"{tmp_path / 'far.py'}:make", *table, "--epochs", "2"]
    assert main([*line, "--threads", "1", "--out", str(out)]) == 1
    assert capsys.readouterr().err == (
        "altmin: error: the loss stays far above that of outputs zero; try a smaller --lr\n"
    )
    assert results(out)[0]["status"] == "diverged"
    assert "error" not in results(out)[0]


def test_quiet_prints_the_result_only(out, capsys):
    assert train(out, "adam", "--epochs", "3", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("digits, 64-8-10, adam, cross_entropy: ok, 3 of 3 iterations")


def test_yaml(out, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(f"out: {out}\nhidden: [5, 6]\nepochs: 2\nbatch_size: 100\ncodes:\n  lr: 1e-1\n")
    assert main(["train", "am-sgd", "--config", str(config), "--epochs", "1", "--quiet"]) == 0
    (run,) = results(out)
    assert (run["hidden"], run["epochs"], run["batch_size"]) == ([5, 6], 1, 100)
    assert run["parameters"]["codes"]["lr"] == 0.1


def test_yaml_of_compare(out, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text(
        f"methods: [sgd, am-mem]\nout: {out}\nhidden: [5]\nepochs: 1\nseeds: 1\nam_mem: {{rule: {{forget: 0.5}}}}\n"
    )
    assert main(["compare", "--config", str(config), "--quiet"]) == 0
    runs = results(out)
    assert [run["method"] for run in runs] == ["sgd", "am-mem"]
    assert runs[1]["parameters"]["rule"]["forget"] == 0.5


def test_printed_configuration_can_be_read_back(out, tmp_path, capsys):
    options = ["compare", "sgd", "--sgd.lr", "0.5", *SMALL, "--epochs", "1", "--out", str(out)]
    with pytest.raises(SystemExit):
        main([*options, "--print-config"])
    config = tmp_path / "run.yaml"
    config.write_text(capsys.readouterr().out)
    assert main(["compare", "--config", str(config), "--quiet"]) == 0
    assert results(out)[0]["parameters"]["lr"] == 0.5


@pytest.mark.parametrize(
    "text", ["rhoo: 1", "codes: {lr: 1}", "hidden: many", "epochs: 0", "hidden: [1", "method: adam"]
)
def test_wrong_yaml(tmp_path, capsys, text):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    assert main(["train", "dladmm", "--config", str(config)]) == 2
    assert_one_line(capsys, text.split(":")[0] if text != "hidden: [1" else "run.yaml, line 1")


WRONG = {
    "train": "name the method first",
    "train dladm": "did you mean 'dladmm'?",
    "compare adm": "did you mean 'adam'?",
    "train adam --data digit": "did you mean 'digits'?",
    "train adam --activation rellu": "did you mean 'relu'?",
    "train adam --loss cross_entrop": "did you mean 'cross_entropy'?",
    "train adam --foo 1": "unknown option --foo",
    "train adam --regularizer l3:1": "'l1:WEIGHT'",
    "train dladmm --rho abc": "--rho must be a number, got 'abc'",
    "train dladmm --rho -1": "--rho must be > 0",
    "train dladmm --nu x": "--nu must be a number or null, got 'x'",
    "train dladmm --schedule fast": "--schedule must be constant, steps or adaptive, got 'fast'",
    "train dladmm --batch-size 5": "full batch",
    "train dladmm --batch-norm": "does not support batch normalisation",
    "train am-mem --batch-norm": "does not support batch normalisation",
    "train dladmm --model binary": "does not support dropout",
    "train adam --hidden 4 0": "--hidden must be a whole number from 1 to 1,000,000,000, or several, got '4 0'",
    "train adam --epochs 1.5": "--epochs must be a whole number",
    "train adam --seed -1": "--seed must be a whole number from 0 to 4,294,967,295",
    "train adam --device tpu": "--device must be such as cpu, cuda or cuda:1",
    "train adam --device cuda:99": "CUDA device(s)",
    "train adam --train-samples 5000": "1,079 available",
    "train adam --data csv": "--csv.train and --csv.target",
    "train adam --csv.train nowhere.csv": "--csv.target",
    "train adam --csv.train nowhere.csv --csv.target y": "no such file",
    "train adam --data digits --csv.train a.csv": "goes with --data csv",
    "predict nowhere": "holds no model.json",
    "nothing": "unknown command nothing; known: train, compare",
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    assert_one_line(capsys, WRONG[line])
    assert list(tmp_path.iterdir()) == []


def assert_one_line(capsys, part):
    text = capsys.readouterr()
    assert text.err.startswith("altmin: error: ")
    assert text.err.count("\n") == 1
    assert part in text.err
    assert text.out == ""


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert train(tmp_path / "file", "adam", "--epochs", "1") == 2
    assert_one_line(capsys, "file")


def test_inertia_is_warned_of_once(out, capsys):
    train(out, "ipdlam", "--alpha", "1.2", "--epochs", "2", "--quiet")
    assert capsys.readouterr().err.count("altmin: warning: ") == 1


def test_lists(capsys):
    assert main(["methods"]) == 0
    text = capsys.readouterr().out
    rows = {line.split()[0]: line for line in text.splitlines() if line.split()[0] in METHODS}
    assert rows.keys() == METHODS.keys()
    assert "KDD 2019" in rows["dladmm"]
    for name, row in rows.items():
        assert f"  {METHODS[name].method.gradients}  " in row
    lacks = rows["dladmm"].split("everything but ")[1].strip().split(", ")
    assert {"batch norm", "dropout", "elman"} <= set(lacks)
    assert not {"relu", "residual", "conv", "max pooling", "average pooling", "l2"} & set(lacks)
    assert rows["sgd"].rstrip().endswith("everything but nonnegative, box, binary")
    assert main(["datasets"]) == 0
    text = capsys.readouterr().out
    for name in names():
        assert f"\n{name} " in text


def test_data_sets_are_looked_for_where_it_is_said(tmp_path, capsys):
    (tmp_path / "mnist").mkdir()
    for file in MNIST.files:
        (tmp_path / "mnist" / file.name).touch()
    assert main(["datasets", "--data-dir", str(tmp_path)]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name, there in {"mnist": "yes", "mnist-60k": "yes", "higgs": "no", "digits": "yes", "csv": "-"}.items():
        assert f"  {there}  " in rows[name]
    assert f"  {str(tmp_path)[:8]}" in rows["mnist"]  # as much of it as the column holds
    assert "  to be downloaded" in rows["higgs"]


def test_version_and_help(capsys):
    for argv in (["--version"], ["--help"], []):
        with pytest.raises(SystemExit) as end:
            main(argv)
        assert end.value.code == 0
        assert "altmin" in capsys.readouterr().out


@pytest.mark.slow
def test_process(out):
    env = os.environ | {"PYTHONWARNINGS": "error::DeprecationWarning", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "altmin", "train", "adam", *SMALL, "--epochs", "2", "--out", str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "adam 2/2: loss " in done.stdout


@pytest.mark.parametrize("command", ["train adam", "compare adam"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_training(command, capsys, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert main([*command.split(), "--epochs", "1", "--out", str(tmp_path / "file")]) == 2
    text = capsys.readouterr()
    assert "cannot write there" in text.err
    assert text.out == ""


@pytest.mark.slow
def test_threads_do_not_depend_on_the_order_of_methods(out):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        size = ["--hidden", "500", "--epochs", "1", "--out", str(out), "--overwrite", "--quiet"]
        used = {}
        for names in (["adam", "dladmm"], ["dladmm", "adam"]):
            assert main(["compare", *names, *size]) == 0
            used[names[0]] = {run["method"]: run["threads"] for run in results(out)}
        assert used["adam"] == used["dladmm"]
        assert used["adam"] == {"adam": 1, "dladmm": 2}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_abbreviated_options_are_unknown(out, capsys):
    assert main(["train", "adam", "--epoch", "2", "--out", str(out)]) == 2
    assert "--epoch" in capsys.readouterr().err


def test_numbers_of_a_method_that_is_not_compared_are_refused(out, tmp_path, capsys):
    """In YAML, where a printed configuration has the usual ones of all methods, only others than these."""
    config, line = tmp_path / "run.yaml", ["compare", "adam", *SMALL, "--epochs", "1", "--out", str(out)]
    assert main([*line, "--dladmm.rho", "0.5"]) == 2
    assert "--dladmm.rho is given, but dladmm takes no part; add dladmm behind compare" in capsys.readouterr().err
    config.write_text("dladmm: {rho: 0.5}\n")
    assert main([*line, "--config", str(config)]) == 2
    assert "a number of dladmm is given, but dladmm takes no part; add dladmm behind compare" in capsys.readouterr().err
    config.write_text("dladmm: {rho: 1e-6}\n")
    assert main([*line, "--config", str(config)]) == 0


def test_predict_asks_for_its_folder(capsys):
    assert main(["predict"]) == 2
    assert "DIR, the folder that train wrote" in capsys.readouterr().err


def test_centred_data_are_centred_in_prediction_too(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "am-adam", "--center", "--hidden", "8", "--epochs", "2", "--quiet", "--out", str(out)]) == 0
    trained = json.loads((out / "results.json").read_text())["runs"][0]
    assert json.loads((out / "model.json").read_text())["data"]["center"] is True
    capsys.readouterr()
    assert main(["predict", str(out), "--quiet"]) == 0
    assert f"{trained['test_accuracy']:.2%}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        (("--rho", "3", "--nu", "1", "--schedule", "constant"), "held in 2 of 2 records"),
        ((), "not claimed with these numbers"),
    ],
)
def test_a_diagnosis_is_told_in_words(out, capsys, numbers, said):
    assert train(out, "dladmm", *numbers, "--diagnose", "--epochs", "3", "--hidden", "8", "--quiet") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("relative stationarity in the end: 0.")]
    assert f"sufficient descent (Property 2): {said}" in lines
