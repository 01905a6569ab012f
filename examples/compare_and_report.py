"""
Compare methods, and write a report
===================================

`altmin compare` trains several methods on the same network, samples and batches, from the same starts, with several
seeds. `altmin report` makes one page of HTML over the runs.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from altmin import cli

# %%
# `cli.main` is what `altmin` at the prompt calls. The same line there reads ``altmin compare bcd am-newton adam
# --hidden 64 64 --epochs 40 --out runs``; digits are the data unless `--data` names others.
folder = Path(tempfile.mkdtemp()) / "runs"
cli.main(["compare", "bcd", "am-newton", "adam", "--hidden", "64", "64", "--epochs", "40", "--out", str(folder)])

# %%
# Three seeds give means, deviations and, as far as they tell methods apart, ranks. The picture lies in the folder, and
# every figure is in `summary.csv`.
figure, axes = plt.subplots(figsize=(9, 4))
axes.imshow(plt.imread(folder / "compare.png"))
axes.axis("off")
plt.show()
columns = ["method", "rank", "test_accuracy_mean", "test_accuracy_deviation", "test_accuracy_runs"]
print(pd.read_csv(folder / "summary.csv")[columns].round(3).to_string(index=False))

# %%
# One page over all runs, with small charts of each and all settings. It opens in any browser.
cli.main(["report", str(folder), "--out", str(folder / "report.html")])
print(f"{(folder / 'report.html').stat().st_size // 1000} kB")
