"""PSNR and SSIM of a model on folders of images, by the field's ruler or by RDSRN's own."""

import numpy as np
import torch
from numpy.typing import NDArray

from edgesr.runtime.frame import Pixels
from edgesr.runtime.quality import RULER, Ruler
from edgesr.train.data.folders import network_input
from edgesr.train.networks import Network

__all__ = ["sharpen"]


@torch.no_grad()
def sharpen(network: Network, low: Pixels, ruler: Ruler = RULER) -> NDArray[np.float64]:
    """uint8 (H, W, 3) BGR -> Y of the network's clipped, unrounded output, float64 (H*scale, W*scale), 0–255."""
    device = next(network.parameters()).device
    out = network(network_input(low, network.colour)[None].to(device))[0].clamp(0, 1)
    values = out.cpu().double().numpy() * 255
    if network.colour == "luma":
        return np.asarray(values[0])
    return ruler.luma(values[::-1].transpose(1, 2, 0))
