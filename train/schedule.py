"""Optimiser and learning rate, as a recipe names them."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from edgesr.runtime.errors import InputError
from edgesr.train.layers import last_layer
from edgesr.train.networks import Network

__all__ = ["Optimizer", "Schedule"]


@dataclass(frozen=True)
class Optimizer:
    """betas: of Adam and AdamW; momentum: of SGD; weight_decay: of all.

    tail: factor on the learning rate of the last layer that computes (SRCNN and FSRCNN: 0.1).
    biases: factor on that of all biases (Caffe's solvers often have 0.1).
    """

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    weight_decay: float = 0.0
    tail: float = 1.0
    biases: float = 1.0

    def __post_init__(self) -> None:
        within = all(0 <= value < 1 for value in (*self.betas, self.momentum))
        if not within or self.weight_decay < 0 or min(self.tail, self.biases) <= 0:
            raise InputError(
                f"{self} is none; expected betas and momentum in 0–1, weight_decay from 0, tail and biases above 0"
            )

    def over(
        self, network: Network, learning_rate: float, *, beside: Iterable[nn.Parameter] = (), fused: bool = True
    ) -> torch.optim.Optimizer:
        """beside: what learns with the network and is no part of it. fused: Adam in one kernel, which undoes a loss scale
        itself, so that gradients cannot be clipped before it."""
        tail = {id(parameter) for parameter in last_layer(network).parameters()} if self.tail != 1 else set()
        groups: dict[float, list[nn.Parameter]] = {}
        named = [*network.named_parameters(), *(("", parameter) for parameter in beside)]
        for name, parameter in named:
            if parameter.requires_grad:
                factor = self.tail if id(parameter) in tail else 1.0
                factor *= self.biases if name.endswith("bias") else 1.0
                groups.setdefault(factor, []).append(parameter)
        learnt = [{"params": parameters, "lr": learning_rate * factor} for factor, parameters in groups.items()]
        if self.kind == "sgd":
            return torch.optim.SGD(learnt, learning_rate, momentum=self.momentum, weight_decay=self.weight_decay)
        make = torch.optim.Adam if self.kind == "adam" else torch.optim.AdamW
        return make(learnt, learning_rate, betas=self.betas, weight_decay=self.weight_decay, fused=fused)


@dataclass(frozen=True)
class Schedule:
    """The learning rate's course: a linear rise over `warmup_steps`, then

    - constant;
    - step: times `factor` at each of `milestones`, or after every `every` steps;
    - cosine: down to `floor` of it at the last step, or again and again within each of `periods` steps.
    """

    kind: Literal["cosine", "step", "constant"] = "cosine"
    warmup_steps: int = 0
    milestones: list[int] = field(default_factory=list)
    every: int = 0
    factor: float = 0.5
    floor: float = 0.0
    periods: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, kind in {"milestones": "step", "every": "step", "periods": "cosine", "floor": "cosine"}.items():
            if getattr(self, name) and kind != self.kind:
                raise InputError(
                    f"schedule.{name} is of kind {kind}, and the schedule's kind is {self.kind}: change one of them"
                )
        if self.kind == "step" and bool(self.milestones) == (self.every > 0):
            raise InputError("a step schedule needs `milestones` or `every`, one of them, in steps")
        if self.milestones != sorted(self.milestones) or min([1, *self.milestones, *self.periods]) < 1:
            raise InputError("a schedule's milestones must rise, and they and its periods be 1 step or more")
        if min(self.warmup_steps, self.every) < 0 or not (0 < self.factor <= 1 and 0 <= self.floor <= 1):
            raise InputError(f"{self} is none; expected steps from 0, factor above 0 and to 1, floor from 0 to 1")

    def over(self, steps: int) -> Callable[[int], float]:
        """The factor on the learning rate at each step of `steps`."""

        def at(step: int) -> float:
            rise = min(1.0, (step + 1) / max(1, self.warmup_steps))
            return rise * self._fall(step, steps)

        return at

    def _fall(self, step: int, steps: int) -> float:
        if self.kind == "constant":
            return 1.0
        if self.kind == "step":
            falls = bisect_right(self.milestones, step) if self.milestones else step // self.every
            return self.factor**falls
        start, length = 0, self.periods[0] if self.periods else max(1, steps)
        for following in self.periods[1:]:
            if step < start + length:
                break
            start, length = start + length, following
        course = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / length)))
        return self.floor + (1 - self.floor) * course
