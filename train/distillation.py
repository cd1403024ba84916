"""Learning from another network beside the truth: from what it makes of the batch, and from features inside it."""

from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgesr.runtime.errors import InputError
from edgesr.train.checkpoint import brought, load_checkpoint
from edgesr.train.data.colour import network_batch
from edgesr.train.layers import outputs_of, smallest_input
from edgesr.train.networks import Network, folded

__all__ = ["Distillation", "Teacher"]


@dataclass(frozen=True)
class Teacher:
    """weights: a checkpoint of any network, of the same scale.

    output: weight of the L1 between both outputs; of their Y, where one of the two knows nothing else.
    features: weight of the mean L1 between the paired layers' outputs, the student's through a learnt 1x1 convolution where the
    teacher's has another number of channels: the hints of A. Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015,
    with L1 for their squared error.
    pairs: layer of the student -> layer of the teacher, as `named_modules()` calls them. Of one that runs several times, the last
    run counts.
    """

    weights: Path
    output: float = 1.0
    features: float = 0.0
    pairs: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.output < inf and 0 <= self.features < inf and self.output + self.features):
            raise InputError(
                f"a teacher with weights {self.output} and {self.features} teaches nothing; expected one above 0"
            )
        if bool(self.pairs) != (self.features > 0):
            raise InputError(
                "a teacher's features need a weight (features: 0.1) and pairs of layers (pairs: {body: body}), both"
            )


class _Apart:
    """Keeps a network out of its holder's parameters, checkpoints and copies."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __deepcopy__(self, _memo: dict[int, Any]) -> "_Apart":
        return self


class Distillation(nn.Module):
    """The loss that a teacher adds. The adapters learn with the student, and are no part of it."""

    def __init__(self, student: Network, settings: Teacher) -> None:
        super().__init__()
        self.settings, self.luma_student = settings, student.colour == "luma"
        teacher = load_checkpoint(brought(settings.weights), student.scale)[0].requires_grad_(False)
        self.adapters = nn.ModuleList(_adapters(student, teacher, settings.pairs))
        asked = teacher if settings.pairs else folded(teacher)  # the deployed form is faster, but lacks some layers
        self.apart = _Apart(asked.to(memory_format=torch.channels_last))  # type: ignore[call-overload]  # torch's stub lacks it

    def forward(self, low: Tensor, output: Tensor, features: dict[str, Tensor]) -> Tensor:
        """low: as the loader gives it. output, features: what the student made of it, as `outputs_of` its layers says."""
        teacher = self.apart.network
        if next(teacher.parameters()).device != low.device:
            teacher.to(low.device)
        if low.shape[1] == 1 and teacher.colour == "rgb":
            raise InputError(
                f"the images of data.train hold Y alone, and the teacher {teacher.name} takes RGB; use colour images"
            )
        with torch.no_grad(), outputs_of(teacher, self.settings.pairs.values()) as shown:
            wanted = teacher(_batch(low, teacher))
        loss = output.new_zeros((), dtype=torch.float32)
        if self.settings.output:
            loss = loss + self.settings.output * F.l1_loss(*_comparable(output.float(), wanted.float()))
        for adapter, (ours, theirs) in zip(self.adapters, self.settings.pairs.items(), strict=True):
            _check_sizes(ours, features[ours], theirs, shown[theirs])
            distance = F.l1_loss(adapter(features[ours]).float(), shown[theirs].float())
            loss = loss + self.settings.features / len(self.adapters) * distance
        return loss


def _batch(low: Tensor, network: Network) -> Tensor:
    with torch.autocast(low.device.type, enabled=False):  # which would round Y to half precision
        return network_batch(low, network.colour).contiguous(memory_format=torch.channels_last)


def _comparable(output: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Both, or the Y of both where one has nothing else."""
    if output.shape[1] == wanted.shape[1]:
        return output, wanted
    with torch.autocast(output.device.type, enabled=False):
        return network_batch(output * 255, "luma"), network_batch(wanted * 255, "luma")


@torch.no_grad()
def _adapters(student: Network, teacher: Network, pairs: dict[str, str]) -> list[nn.Module]:
    """One for each pair, found by running both; raises InputError for layers that are not there or not of one size."""
    training = student.training
    with outputs_of(student, pairs) as ours, outputs_of(teacher, pairs.values()) as theirs:
        student.eval()(smallest_input(student, teacher))
        teacher(smallest_input(teacher, student))
    student.train(training)
    made: list[nn.Module] = []
    for mine, other in pairs.items():
        for name, given, network in ((mine, ours, student), (other, theirs, teacher)):
            if not isinstance(given.get(name), Tensor) or given[name].ndim != 4:
                raise InputError(
                    f"{network.name}'s layer {name!r} gives no feature map, (N, C, H, W); pair another one"
                )
        _check_sizes(mine, ours[mine], other, theirs[other])
        channels = ours[mine].shape[1], theirs[other].shape[1]
        made.append(nn.Identity() if channels[0] == channels[1] else nn.Conv2d(*channels, 1))
    return made


def _check_sizes(mine: str, ours: Tensor, other: str, theirs: Tensor) -> None:
    if ours.shape[2:] != theirs.shape[2:]:
        sizes = [f"{tensor.shape[3]}x{tensor.shape[2]}" for tensor in (ours, theirs)]
        raise InputError(
            f"the student's layer {mine!r} gives {sizes[0]}, the teacher's {other!r} {sizes[1]}; pair layers of one size"
        )
