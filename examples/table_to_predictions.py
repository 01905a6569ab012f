"""
From a table to predictions
===========================

A table of yours is a CSV file or a data frame with a column to predict. The command line trains on it, keeps how its
rows are encoded beside the weights, and predicts new rows from that folder alone.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from altmin import cli
from altmin.study.prediction import predict_table

# %%
# The table here is drawn: houses with a size, a district, an age that is sometimes missing, and a price.
rng = np.random.default_rng(0)
count = 400
place = rng.integers(0, 3, count)
table = pd.DataFrame(
    {
        "size": rng.uniform(30, 200, count).round(1),
        "district": np.array(["north", "south", "harbour"])[place],
        "age": np.where(rng.random(count) < 0.1, np.nan, rng.integers(0, 100, count)),
    }
)
worth = np.array([2.0, 3.0, 5.0])[place]
table["price"] = (worth * table["size"] - table["age"].fillna(50) + rng.normal(0, 10, count)).round(1)
print(table.head(3))

folder = Path(tempfile.mkdtemp())
table.head(300).to_csv(folder / "houses.csv", index=False)

# %%
# `cli.main` is what `altmin` at the prompt calls. The same line there reads ``altmin train am-newton --csv.train
# houses.csv --csv.target price --task regression --hidden 32 --epochs 60 --out run``.
line = ["train", "am-newton", "--csv.train", str(folder / "houses.csv"), "--csv.target", "price"]
line += ["--task", "regression", "--hidden", "32", "--epochs", "60", "--out", str(folder / "run"), "--no-plot"]
cli.main(line)

# %%
# New rows, in the columns' names, with or without the price; a missing age is no obstacle.
found = predict_table(folder / "run", table.tail(100).drop(columns="price"))
error = (found["predicted"] - table["price"].tail(100)).abs().mean()
print(f"mean absolute error {error:.1f}, prices from {table['price'].min():.0f} to {table['price'].max():.0f}")
print(found.head(3))
