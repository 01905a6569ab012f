"""Errors name options as the user wrote them, and misspelt names get the nearest known one."""

from __future__ import annotations

from pathlib import Path

import pytest

from altmin.cli import main
from altmin.cli.commandline import parse
from altmin.cli.spelling import Spelling

MISSPELT = {
    "train am-adam --lr 0.1": "unknown option --lr; did you mean --rule.lr or ",
    "train dladmm --rhoo 1": "unknown option --rhoo; did you mean --rho?",
    "train adam --batchsize 3": "did you mean --batch-size?",
    "train adam --batch_size 3": "unknown option --batch_size; did you mean --batch-size?",
    "train adam --hiden=3": "unknown option --hiden; did you mean --hidden?",
    "compare dladmm --dladmm.rhoo 1": "did you mean --dladmm.rho?",
    "compare dladmm sgd --lr 1": "unknown option --lr; did you mean --sgd.lr?",
    "bench adam --rouns 1": "did you mean --rounds?",
    "predict run --devic cpu": "did you mean --device?",
    "methods --quiet": "unknown option --quiet",
    "trian adam": "unknown command trian; did you mean train?",
    "dladmm --rho 1": "unknown command dladmm; did you mean altmin train dladmm?",
    "--verson": "unknown command --verson; did you mean --version?",
    "train adam --nothing-like-it 1": "unknown option --nothing-like-it; see --help",
}
WRONG = {
    "train adam --batch-size 5000 --epochs 1": "--batch-size is 5000, but there are 1079 samples",
    "train adam --keep bst": "--keep must be best or last, got 'bst'",
    "train adam --precision fp8": "--precision must be float32, float64, bf16 or null, got 'fp8'",
    "train adam --regularizer l3:1": "--regularizer must be",
    "train adam --seed 4294967296": "--seed must be a whole number from 0 to 4,294,967,295",
    "train adam --epochs 10000000000": "--epochs must be a whole number from 1 to 1,000,000,000",
    "train adam --hidden 10000000000": "--hidden must be a whole number",
    "train adam --model residual --depth 100000": "--depth must be a whole number from 1 to 10,000",
    "train adam --train-samples 5000": "--train-samples is 5000",
    "train adam --data-dir": "--data-dir needs a value: a path or null",
    "train adam --config": "--config needs a value: a YAML file",
    "train adam --config --quiet": "--config needs a value: a YAML file",
    "train adam --quiet=maybe": "--quiet takes no value",
    "train --resume": "--resume needs a value: the folder of a run",
    "train adam --epochs 1 more": "unexpected more",
    "train adam --model resdual": "unknown --model 'resdual'; did you mean 'residual'?",
    "compare am-mem --am-mem.rule.forget 5": "--am-mem.rule.forget must be > 0 and <= 1, got 5.0",
    "train am-adam --codes.steps 1.5": "--codes.steps must be a whole number, got '1.5'",
}


@pytest.mark.parametrize("line", [*MISSPELT, *WRONG])
def test_one_line_in_the_users_words(line: str, capsys: pytest.CaptureFixture[str]):
    assert main(line.split()) == 2
    shown = capsys.readouterr()
    assert (MISSPELT | WRONG)[line] in shown.err
    assert (shown.err.count("\n"), shown.out) == (1, "")


def test_only_names_of_options_are_translated():
    spelling = Spelling()
    parse(["train", "am-adam"], spelling)
    text = "`rule.lr` and `batch_size=3`, not `x` or `residual`; `audit=True`; `precision='bf16'`"
    said = "--rule.lr and --batch-size 3, not `x` or `residual`; --audit; --precision bf16"
    assert spelling.translate(text) == said


AFTER = {
    "train adam --lr 1e30": "Try: a smaller --lr",
    "train bcd --then sgd --then.lr 1e30": "Try: a smaller --then.lr",
    "compare am-adam bcd --am-adam.rule.lr 1e30": "a larger --am-adam.mu.start",
    "compare slow=ipdlam --slow.alpha 1e6 --slow.beta 1e6": "--slow.alpha = 1e+06, --slow.beta = 1e+06: with inertial",
}


@pytest.mark.usefixtures("here", "registrations", "training_alone")
@pytest.mark.parametrize("line", AFTER)
def test_what_is_said_after_training_began_names_options_too(line: str, capsys: pytest.CaptureFixture[str]):
    main([*line.split(), "--hidden", "4", "--epochs", "3", "--quiet", "--out", "out"])
    assert AFTER[line] in capsys.readouterr().err


@pytest.mark.usefixtures("here", "registrations", "training_alone")
def test_yaml_is_named_after_training_began(capsys: pytest.CaptureFixture[str]):
    Path("run.yaml").write_text("sgd: {lr: 1e30}\n")
    line = "compare sgd --config run.yaml --hidden 4 --epochs 2 --seeds 1 --quiet --out out"
    main(line.split())
    assert "altmin: warning: run.yaml: sgd: training diverged" in (text := capsys.readouterr().err)
    assert "Try: a smaller `sgd.lr`" in text
