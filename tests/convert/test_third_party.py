"""What a user registers from a file outside the package: read, named, trained, and its mistakes answered."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import problem_of, state_of
from altmin.activations import LeakyReLU, ReLU
from altmin.convert.reading import supported
from altmin.convert.weights import variables_of
from altmin.core.forward import forward
from altmin.losses import LOSSES, Hinge, Loss, SquaredLoss, make_loss
from altmin.maps import Linear
from altmin.methods.registry import METHODS as REGISTERED_METHODS
from altmin.nn import Sign
from altmin.registration import conversion_of, converts, modules_of
from altmin.regularizers import make_regularizer
from altmin.study.activation_names import ACTIVATION_NAMES
from altmin.study.networks import mlp

pytestmark = pytest.mark.usefixtures("registrations")
FILE = Path(__file__).with_name("third_party.py")


@pytest.fixture
def own() -> ModuleType:
    """The user's file, loaded as one from anywhere."""
    spec = importlib.util.spec_from_file_location("third_party", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "third_party", module)  # dataclasses look for their module there
        spec.loader.exec_module(module)
    return module


def model_of(own: ModuleType, last: nn.Module | None = None) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        hidden = [own.Scaled(6, 8, 0.5), own.Bent(), own.Flip(), own.Scaled(8, 7, 1.5, bias=False), nn.ReLU()]
        return nn.Sequential(*hidden, last or nn.Linear(7, 3)).double()


def samples(n: int = 60) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    y = torch.randint(3, (n,), generator=g)
    return torch.randn(n, 6, generator=g, dtype=torch.float64) + 2.0 * torch.eye(6, dtype=torch.float64)[y], y


def test_layers_are_the_users_own(own: ModuleType):
    first, second, _ = problem_of(model_of(own)).layers
    assert isinstance(first.map, own.ScaledMap)
    assert isinstance(first.activation, own.BentActivation)
    assert second.map.before == (own.FlipOperation(),)  # type: ignore[attr-defined]
    assert second.map.core == own.ScaledMap(8, 7, 1.5, False)  # type: ignore[attr-defined]
    assert second.features == ()


def test_the_layers_compute_what_the_model_computes(own: ModuleType):
    model, (x, _) = model_of(own), samples()
    problem = problem_of(model)
    assert problem.inputs == 6
    torch.testing.assert_close(forward(problem, state_of(model), x)[0][-1], model(x).detach())


def test_weights_are_views_of_the_module(own: ModuleType):
    model = model_of(own)
    W = variables_of(model)[0][0]
    W[2, 4] = 7.0
    assert model.get_parameter("0.weight")[4, 2] == 7.0


METHODS = {
    "dladmm": altmin.DLADMM(rho=1.0, nu=1.0),
    "mdlam": altmin.MDLAM(rho=0.1),
    "ipdlam": altmin.IPDLAM(),
    "am-adam": altmin.OnlineAM(),
    "backprop": altmin.Backprop("adam"),
}
over_methods = pytest.mark.parametrize("name", METHODS)


def fit(model: nn.Sequential, method: altmin.Method, epochs: int, **options: object) -> altmin.History:
    batch = 20 if method.online else None
    generator = torch.Generator().manual_seed(0)
    return altmin.fit(
        model,
        method,
        samples(),
        epochs=epochs,
        batch_size=batch,
        generator=generator,
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@over_methods
def test_methods_train_what_a_user_registered(name: str, own: ModuleType):
    model = model_of(own)
    before = [p.detach().clone() for p in model.parameters()]
    history = fit(model, METHODS[name], 100, loss="scaled_squares", regularizer="elastic:1e-4:1e-4")
    assert history["train_accuracy"][-1] > 0.6  # from all of eight starts: .72 to .95
    assert all(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True) if p.ndim == 2)


@torch.no_grad()
def step_off_the_forward_pass(network: nn.Sequential, method: altmin.Method) -> None:
    """Two iterations from variables that are no forward pass, the same for every network of these widths."""
    problem, g = altmin.problem_of(network, "squared", "l2:1e-3"), torch.Generator().manual_seed(1)
    x = torch.randn(60, 6, generator=g, dtype=torch.float64)
    y = torch.randn(60, 3, generator=g, dtype=torch.float64)
    sweep = altmin.Sweep(method, problem, altmin.state_of(network), altmin.Batch(x, y))
    method.init(sweep)
    for t in (*sweep.state.z, *sweep.state.a):
        t.add_(torch.randn(t.shape, generator=g, dtype=torch.float64))
    sweep.run().run()


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@pytest.mark.parametrize(
    "name", [name for name, entry in REGISTERED_METHODS.items() if entry.paper != "torch.optim" or name == "adam"]
)
def test_a_map_of_a_user_trains_as_the_same_of_the_library(name: str, own: ModuleType):
    """Of scale 1 the user's map is `Linear`; its weights are transposed, and strided where they are trained.

    The variables of mDLAM and MAC are moved off the forward pass, where hidden gradients are rounding, and a
    processor's kernels would choose their steps.
    """
    widths = ((6, 8), (8, 7), (7, 3))
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        theirs, ours = [own.Scaled(*n, 1.0).double() for n in widths], [nn.Linear(*n).double() for n in widths]
    with torch.no_grad():
        for their, our in zip(theirs, ours, strict=True):
            our.weight.copy_(their.weight.T)
            our.bias.copy_(their.bias)
    for a, b, c in (theirs, ours):
        bend = Sign if name == "straight-through" else nn.ReLU
        network = nn.Sequential(a, bend(), b, nn.Tanh(), c)
        if name in ("mac", "mdlam"):
            step_off_the_forward_pass(network, REGISTERED_METHODS[name].method)
        else:
            fit(network, REGISTERED_METHODS[name].method, 4, loss="squared", regularizer="l2:1e-3")
    for their, our in zip(theirs, ours, strict=True):
        torch.testing.assert_close(their.weight.T, our.weight, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(their.bias, our.bias, rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@over_methods
def test_a_regularizer_of_a_user_trains_as_the_same_of_the_library(name: str, own: ModuleType):
    """Without its ridge the elastic net is l1."""
    models = [model_of(own), model_of(own)]
    for model, text in zip(models, ("elastic:1e-3:0", "l1:1e-3"), strict=True):
        fit(model, METHODS[name], 4, regularizer=text)
    for p, q in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)


def test_names_are_known_where_strings_are(own: ModuleType):
    assert make_loss("scaled_squares") == own.ScaledSquares()
    assert LOSSES["scaled_squares"].name == "scaled_squares"
    assert make_regularizer("elastic:0.5:2") == own.Elastic(0.5, 2.0)
    assert ACTIVATION_NAMES["bent"] is own.Bent
    assert list(ACTIVATION_NAMES)[:3] == ["relu", "leakyrelu", "hardtanh"]
    assert type(mlp((4,), 2, (3,), activation="bent")[1]) is own.Bent
    assert all(name in supported() for name in ("Bent", "Scaled", "Flip"))
    with pytest.raises(ValueError, match="did you mean 'scaled_squares'"):
        make_loss("scaled_square")
    with pytest.raises(ValueError, match=r"'elastic:LASSO:RIDGE', got 'elastic:1'"):
        make_regularizer("elastic:1")


def test_what_is_not_registered_has_no_name():
    assert "bent" not in ACTIVATION_NAMES
    assert "scaled_squares" not in LOSSES


def test_a_module_stands_for_one_class(own: ModuleType):
    with pytest.raises(ValueError, match="ReLU stands for ReLU already, not for BentActivation"):
        converts(nn.ReLU)(own.BentActivation)
    conversion = conversion_of(nn.ReLU)
    assert conversion is not None
    assert conversion.of(nn.ReLU()) == ReLU()


def test_a_name_stands_for_one_class():
    with pytest.raises(ValueError, match="Hinge is the loss 'hinge' already, not SquaredLoss"):
        altmin.register_loss("hinge")(SquaredLoss)
    for wrong in ("a:b", "", 3):
        with pytest.raises(ValueError, match="without a colon"):
            altmin.register_regularizer(wrong)  # type: ignore[arg-type]
    assert (Hinge.name, SquaredLoss.name) == ("hinge", "squared")


def test_a_file_that_is_run_twice_replaces_what_it_registered():
    def define() -> type[Loss]:
        @altmin.register_loss("twice")
        @dataclass(frozen=True)
        class Twice(SquaredLoss):
            pass

        return Twice

    first, second = define(), define()
    assert first is not second
    assert LOSSES["twice"] is second


def test_a_class_without_a_role_and_a_module_that_is_none_are_refused():
    with pytest.raises(TypeError, match="must derive from Map, Operation or Activation"):
        converts(nn.GELU)(type("Plain", (), {}))
    for wrong in ((), (3,), (Linear,), (nn.ReLU(),)):
        with pytest.raises(TypeError, match=r"takes classes of nn\.Module"):
            converts(*wrong)  # type: ignore[arg-type]


def test_a_module_may_stand_for_a_class_of_the_library():
    class Third(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.leaky_relu(x, 1 / 3)

    converts(Third, of=lambda module: LeakyReLU(1 / 3))(LeakyReLU)
    assert modules_of("activation")[-1] is Third
    (layer, _) = problem_of(nn.Sequential(nn.Linear(4, 3), Third(), nn.Linear(3, 2))).layers
    assert layer.activation == LeakyReLU(1 / 3)
    assert layer.map == Linear(4, 3)
