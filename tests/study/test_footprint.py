"""What a run is said to need is what it then uses, within a factor of two."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings

import pytest
import torch

from altmin.data import Dataset, Split
from altmin.methods.registry import METHODS
from altmin.study.description import NetworkDescription
from altmin.study.footprint import Footprint, check_weights, cure_of, footprint
from altmin.study.ledger import Ledger
from altmin.study.run import run
from altmin.study.setup import Setup
from study.peak import WITH_TESTS

WIDTHS = (24, 40, 32)  # of the input and of two hidden layers


def setup_for(samples: int, widths: tuple[int, ...] = WIDTHS, epochs: int = 2, **options) -> Setup:
    generator = torch.Generator().manual_seed(0)

    def split(count: int) -> Split:
        x = torch.randn(count, widths[0], generator=generator)
        return Split(x, (x[:, 0] > 0).long())

    dataset = Dataset("drawn", split(samples), split(99), split(99), ("a", "b"), widths[:1])
    activation = options.pop("activation", "relu")
    own = {"hidden": widths[1:], "activation": activation}
    network = NetworkDescription(inputs=widths[:1], outputs=2, options=own, classes=("a", "b"))
    return Setup(dataset=dataset, network=network, epochs=epochs, threads=1, **options)


ALIKE = sorted({name for name, entry in METHODS.items() if entry.paper == "torch.optim"} - {"adam", "sgd"})


@pytest.mark.parametrize(
    "name", [*sorted(METHODS.keys() - set(ALIKE)), *(pytest.param(name, marks=pytest.mark.slow) for name in ALIKE)]
)
def test_the_estimate_is_what_a_run_holds_in_tensors(name: str):
    setup = setup_for(600, activation="sign" if name == "straight-through" else "relu")
    method = METHODS[name].method
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = footprint(setup, name, method)
        with Ledger() as ledger:
            run(setup, name, method)
    assert 0.75 < found.total / ledger.peak < 1.5, f"{found}, {ledger.peak}"


def test_parts_are_what_they_are_called():
    setup = setup_for(1000, batch_size=100)
    found = footprint(setup, "adam", METHODS["adam"].method)
    weights = 4 * sum(p.numel() for p in setup.network.build().parameters())
    splits = 1198 * (4 * 24 + 8)
    assert found.samples == splits + 4 * 2 * 1099  # and targets one-hot
    assert found.loaded == splits
    assert 5 * weights < found.variables < 6 * weights  # three copies, Adam's two moments, and what it keeps of W
    assert 1000 * 4 * sum((40, 40, 32, 32, 2)) <= found.temporaries < 2000 * 4 * sum((40, 40, 32, 32, 2))


def test_variables_of_every_sample_grow_with_the_samples_and_online_ones_do_not():
    few, many = setup_for(500), setup_for(5000)
    growth = {
        n: footprint(many, n, METHODS[n].method).variables / footprint(few, n, METHODS[n].method).variables
        for n in ("dladmm", "am-adam")
    }
    assert growth["dladmm"] > 6
    assert growth["am-adam"] == pytest.approx(1, abs=0.1)


def test_nothing_of_the_run_is_touched():
    setup = setup_for(200)
    before = torch.get_rng_state()
    footprint(setup, "bcd", METHODS["bcd"].method)
    assert torch.equal(torch.get_rng_state(), before)
    first = run(setup, "bcd", METHODS["bcd"].method).result["objective"]
    footprint(setup, "bcd", METHODS["bcd"].method)
    assert run(setup, "bcd", METHODS["bcd"].method).result["objective"] == first


def test_what_the_machine_does_not_have_is_refused_with_the_cure():
    setup, method = setup_for(1000), METHODS["dladmm"].method
    found = footprint(setup, "dladmm", method)
    found.check("dladmm", int(found.total - found.loaded), "nothing")
    found.check("dladmm", None, "nothing")
    with pytest.raises(
        ValueError, match=r"dladmm needs about .* of memory, and 1 kB are free; use fewer samples .*am-adam"
    ):
        found.check("dladmm", 1000, cure_of(found, setup, method))
    assert "`batch_size`" in cure_of(found, setup, METHODS["adam"].method)
    assert cure_of(Footprint(records=1e9), setup, method) == "fewer `epochs`"


def test_huge_networks_are_refused_before_anything_is_made():
    network = NetworkDescription(inputs=(64,), outputs=10, options={"hidden": (10**9, 10**9)})
    with pytest.raises(ValueError, match=r"the network needs about 12 EB .*narrower"):
        check_weights(network, 10**10)


PROCESS = """
import json, os, warnings
warnings.simplefilter("ignore")
import torch._dynamo  # PyTorch's optimisers import it, for seconds
from study.peak import peak_resident
from study.test_footprint import METHODS, SEEN, footprint, run, setup_for
small = setup_for(300)
wide, large = setup_for(400, widths=(300, 1600, 1600)), setup_for(15000, widths=(120, 300, 300), epochs=1)
for name, many in SEEN.items():
    setup = large if many else wide
    if not os.fork():  # a peak of its own, and no memory that another method has left free
        run(small, name, METHODS[name].method)  # libraries' own memory
        before = peak_resident()
        run(setup, name, METHODS[name].method)
        used = peak_resident() - before
        estimate = footprint(setup, name, METHODS[name].method)
        print(json.dumps([name, (estimate.total - estimate.loaded) / used]), flush=True)
        os._exit(0)
    os.wait()
"""
SEEN = {"adam": False, "am-adam": False, "bcd": True, "dladmm": True, "ipdlam": True}  # whether many samples fill it


@pytest.mark.slow
def test_the_estimate_is_what_the_system_sees():
    """Several methods from one process, which takes seconds to start.

    What they need, 90 MB and more, is far above the some 30 MB that the heap may hold between small tensors.
    """
    done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True, text=True, check=True, env=WITH_TESTS)
    shares = dict(map(json.loads, done.stdout.splitlines()))
    assert list(shares) == list(SEEN), done.stderr
    assert all(0.5 < share < 2 for share in shares.values()), shares
