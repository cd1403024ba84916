"""The learning rate at chosen steps, and whose it is."""

import math

import pytest

torch = pytest.importorskip("torch", reason="optimisers are PyTorch's")

from torch import nn

from edgesr.runtime.errors import InputError
from edgesr.train.layers import last_layer
from edgesr.train.networks import seeded_network
from edgesr.train.schedule import Optimizer, Schedule


def test_warm_up_rises_in_equal_steps_to_the_whole_rate() -> None:
    at = Schedule(kind="constant", warmup_steps=4).over(100)
    assert [at(step) for step in (0, 1, 2, 3, 4, 99)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_cosine_is_half_at_the_middle_and_zero_at_the_end() -> None:
    at = Schedule().over(200)
    assert at(0) == 1
    assert at(100) == pytest.approx(0.5)
    assert at(50) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert at(199) < 1e-4 and at(200) == 0
    assert at(250) == 0, "a run that goes on learns no more"


def test_cosine_falls_to_its_floor() -> None:
    at = Schedule(floor=0.1).over(200)
    assert at(100) == pytest.approx(0.55) and at(200) == pytest.approx(0.1)


def test_cosine_begins_again_with_each_period_and_stays_at_the_end_of_the_last() -> None:
    at = Schedule(periods=[10, 20, 40], floor=0.2).over(70)
    assert [at(step) for step in (0, 10, 30)] == [1, 1, 1]
    assert [at(step) for step in (5, 20, 50)] == pytest.approx([0.6, 0.6, 0.6])
    assert at(9) < 0.23 and at(29) < 0.21
    assert at(70) == at(90) == pytest.approx(0.2)


def test_milestones_and_equal_steps_multiply() -> None:
    at = Schedule(kind="step", milestones=[10, 20], factor=0.1).over(100)
    assert [at(step) for step in (9, 10, 19, 20, 99)] == pytest.approx([1, 0.1, 0.1, 0.01, 0.01])
    every = Schedule(kind="step", every=10).over(100)
    assert [every(step) for step in (0, 9, 10, 25, 30)] == [1, 1, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("kind", ["cosine", "step"])
def test_course_is_pytorchs_own(kind: str) -> None:
    schedule = Schedule() if kind == "cosine" else Schedule(kind="step", milestones=[5, 12], factor=0.3)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs: torch.optim.lr_scheduler.LRScheduler = (
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)
        if kind == "cosine"
        else torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 12], 0.3)
    )
    at = schedule.over(20)
    for step in range(20):
        assert at(step) == pytest.approx(theirs.get_last_lr()[0], abs=1e-9), step
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "step"}, "one of them"),
        ({"kind": "step", "every": 5, "milestones": [5]}, "one of them"),
        ({"kind": "step", "milestones": [20, 10]}, "must rise"),
        ({"kind": "step", "milestones": [0, 10]}, "1 step or more"),
        ({"periods": [10, 0]}, "1 step or more"),
        ({"warmup_steps": -1}, "from 0"),
        ({"floor": 1.5}, "floor"),
        ({"kind": "step", "every": 5, "factor": 0.0}, "factor"),
        ({"milestones": [10]}, "milestones is of kind step, and the schedule's kind is cosine"),
        ({"kind": "constant", "floor": 0.1}, "floor is of kind cosine"),
    ],
)
def test_schedule_that_cannot_be_meant_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Schedule(**settings)


@pytest.mark.parametrize("settings", [{"betas": (0.9, 1.0)}, {"momentum": -0.1}, {"weight_decay": -1.0}, {"tail": 0.0}])
def test_optimizer_that_cannot_be_meant_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected betas and momentum"):
        Optimizer(**settings)


@pytest.mark.parametrize("name", ["srcnn", "fsrcnn"])
def test_tail_learns_at_a_rate_of_its_own(name: str) -> None:
    network = seeded_network(name, 3)
    optimizer = Optimizer(kind="sgd", tail=0.1).over(network, 1e-2)
    last = network.reconstruct if name == "srcnn" else network.enlarge
    rates = {id(parameter): group["lr"] for group in optimizer.param_groups for parameter in group["params"]}
    for parameter in network.parameters():
        expected = 1e-3 if any(parameter is one for one in last.parameters()) else 1e-2
        assert rates.pop(id(parameter)) == pytest.approx(expected)
    assert not rates


@pytest.mark.parametrize(
    ("name", "last"), [("ecbsr", "body.14"), ("lapsrn", "levels.1.residual"), ("awsrn", "skip"), ("drrn", "tail.1")]
)
def test_last_layer_is_the_last_that_runs(name: str, last: str) -> None:
    """ECBSR's is a block of branches, LapSRN's is registered before another, AWSRN's is under weight normalisation."""
    network = seeded_network(name, 4).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert last_layer(network) is network.get_submodule(last)
    assert network.training and not any(part._forward_pre_hooks for part in network.modules())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items()), "statistics moved"


@pytest.mark.parametrize(("kind", "type_"), [("adam", "Adam"), ("adamw", "AdamW"), ("sgd", "SGD")])
def test_optimizer_is_as_asked_and_has_what_learns_beside_the_network(kind: str, type_: str) -> None:
    network, beside = seeded_network("espcn", 2), nn.Conv2d(1, 2, 1)
    asked = Optimizer(kind=kind, betas=(0.8, 0.99), momentum=0.5, weight_decay=1e-4)
    optimizer = asked.over(network, 1e-3, beside=beside.parameters())
    (group,) = optimizer.param_groups
    assert type(optimizer).__name__ == type_ and group["weight_decay"] == 1e-4
    assert group.get("betas", (0.8, 0.99)) == (0.8, 0.99) and group.get("momentum", 0.5) == 0.5
    assert len(group["params"]) == len(list(network.parameters())) + 2


def test_biases_may_learn_at_a_rate_of_their_own() -> None:
    network = seeded_network("srcnn", 2)
    groups = Optimizer(kind="sgd", tail=0.1, biases=0.5).over(network, 1.0).param_groups
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    found = {name: rates[id(parameter)] for name, parameter in network.named_parameters()}
    assert found["extract.weight"] == 1.0 and found["extract.bias"] == 0.5
    assert found["reconstruct.weight"] == pytest.approx(0.1) and found["reconstruct.bias"] == pytest.approx(0.05)
