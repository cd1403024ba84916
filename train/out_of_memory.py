"""What to say where a step does not fit into memory: the batch and the patch that would, found by trying."""

import gc
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from edgesr.train.data.module import Images
    from edgesr.train.module import SuperResolution

__all__ = ["advice", "is_out_of_memory", "largest", "what_would_fit"]


def is_out_of_memory(error: BaseException) -> bool:
    """On a GPU, or on a CPU whose system refused."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator: can't allocate memory" in str(error)


def what_would_fit(error: BaseException, module: "SuperResolution", data: "Images") -> str:
    """One line, for a run that ended so; lets go of all that the failed step holds, and tries real steps."""
    device = module.trainer.strategy.root_device
    where = "GPU memory" if device.type == "cuda" else "memory"
    if any(frame.f_code.co_name == "validation_step" for frame, _ in traceback.walk_tb(error.__traceback__)):
        return (
            f"out of {where} while validating, where images are taken whole; validate on smaller ones (data.validate)"
        )
    traceback.clear_frames(error.__traceback__)
    network, scale = module.network, max(data.scales)
    setting, unit = ("high_patch", scale) if data.high_patch else ("patch", 1)
    least = network.fixed_size or network.min_size

    def fits(batch: int, size: int) -> bool:
        return _step_fits(module, device, batch, size // unit, scale)

    size: int = getattr(data, setting)
    multiple = unit * network.size_multiple
    return advice(fits, data.batch_size, size, where, setting=setting, multiple=multiple, least=unit * least)


def advice(
    fits: Callable[[int, int], bool],
    batch: int,
    patch: int,
    where: str,
    *,
    setting: str = "patch",
    multiple: int = 1,
    least: int = 1,
) -> str:
    """fits: whether a step with (batch, patch) can be done. setting: what the patch is called in the recipe. multiple, least: of
    patches that the network takes."""
    line = f"out of {where} with batch {batch} of {setting} {patch}"
    fewer = largest(lambda size: fits(size, patch), batch)
    smaller = largest(lambda size: fits(batch, size), patch, multiple=multiple, least=least)
    if not fewer and not smaller:
        return f"{line}; neither a single crop nor smaller ones fit: train a smaller network, or on another device"
    found = [f"batch {fewer} of {setting} {patch}"] if fewer else []
    found += [f"{setting} {smaller} with batch {batch}"] if smaller else []
    add = f"--data.batch_size {fewer}" if fewer else f"--data.{setting} {smaller}"
    return f"{line}; {' fits, or '.join(found)}{' fits' if len(found) == 1 else ''}: add {add}"


def largest(fits: Callable[[int], bool], size: int, *, multiple: int = 1, least: int = 1) -> int:
    """Of what is smaller than `size`: halved until it fits, then once more half the way back. 0: nothing fits."""

    def rounded(value: int) -> int:
        return value // multiple * multiple

    half, smallest = size, -(-least // multiple) * multiple
    while half > smallest:
        half = max(rounded(half // 2), smallest)
        if fits(half):
            between = rounded(half + half // 2)
            return between if half < between < size and fits(between) else half
    return 0


def _step_fits(module: "SuperResolution", device: torch.device, batch: int, patch: int, scale: int) -> bool:
    """One step from black to black, in the run's precision and with a fresh state of the optimiser."""
    _let_go(module)
    side = patch * scale
    try:
        module.to(device).train()
        optimizer = module.configure_optimizers()["optimizer"]
        low, high = (torch.zeros(batch, 3, n, n, dtype=torch.uint8, device=device) for n in (patch, side))
        with module.trainer.precision_plugin.train_step_context():
            loss = module.loss_of((low, high))
        torch.autograd.backward(loss)
        optimizer.step()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return False
    finally:
        _let_go(module)
    return True


def _let_go(module: "SuperResolution") -> None:
    module.zero_grad(set_to_none=True)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
