"""Networks of several experts that share their first stages.

RIDE (Wang et al., 2021), MDCS (Zhao et al., 2023) and, with fused depths, SHIKE (Jin et
al., 2023). Each expert is a branch of its own, not a row of stacked weights: branches
may differ in width, one can run without the others, and a convolution mapped over
weights is a grouped one, with which a training step of RIDE's three experts took 3.3
times as long on two CPU cores.
"""

import jax.numpy as jnp
from flax import linen as nn

from ltjax.models.batch_norm import BatchNorm
from ltjax.models.convolution import PYTORCH, Convolution


class Alignment(nn.Module):
    """A shared map brought to the shape of an expert's last one (SHIKE's DKF).

    A chain of `convolutions` 3 x 3 of stride 2, whose channels double up to `channels`,
    each with batch norm, and relu unless it is the second, as released. It reads the
    shared map number `source`.
    """

    source: int
    convolutions: int
    channels: int
    dtype: jnp.dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, maps, train=False):
        """Shared maps, each [B, H, W, C], to [B, H', W', channels]."""
        x = maps[self.source]
        for number in range(1, self.convolutions + 1):
            channels = self.channels // 2 ** (self.convolutions - number)
            conv = Convolution(channels, 2, self.dtype, PYTORCH, name=f"conv{number}")
            x = BatchNorm(self.axis_name, name=f"norm{number}")(conv(x), train)
            x = x if number == 2 else nn.relu(x)
        return x


class Experts(nn.Module):
    """Feature extractor of E experts: a shared trunk, a branch for each.

    The trunk's modules follow on each other; the map that each returns is shared, the
    last is what the branches take. An expert's last map may be multiplied by another of
    them, aligned by its module in `shallow`. `branched` puts these together.
    """

    trunk: tuple[nn.Module, ...]
    branches: tuple[nn.Module, ...]
    shallow: tuple[nn.Module, ...] = ()

    def __call__(self, images, train=False):
        """Images [B, H, W, channels] to features [B, E, D]: the means over pixels."""
        maps = self.shared(images, train)
        experts = range(len(self.branches))
        return jnp.stack([self.expert(i, maps, train) for i in experts], axis=1)

    def shared(self, images, train=False):
        """Images to the shared maps, a tuple of [B, H, W, C]."""
        maps = (images,)
        for part in self.trunk:
            maps = (*maps, part(maps[-1], train))
        return maps[1:]

    def expert(self, index, maps, train=False):
        """The features [B, D] of one expert, of the shared maps."""
        x = self.branches[index](maps[-1], train)
        if self.shallow:
            x = x * self.shallow[index](maps, train)
        return x.mean((1, 2), dtype=jnp.float32)


def branched(whole, branch, widths, fused=False):
    """`Experts` that share the parts before `branch` of the network `whole`.

    `whole` is a `CifarResNet` or a `ResNet`. There is an expert for each of `widths`:
    what the `width` of a whole network with such last stages would be, so that 12
    beside a `whole` of 16 is an expert of three quarters of the channels.

    If `fused`, expert i = 0, 1, ... multiplies its last map by that of the shared stage
    1 + i mod (branch - 1), aligned. RIDE's networks are `branched(CifarResNet(32), 2,
    3 * (12,))` and `branched(resnet50(), 3, 3 * (48,))`, SHIKE's is
    `branched(CifarResNet(32, projection=True), 3, 3 * (16,), fused=True)`; fused
    networks for large images are an extrapolation of it. A `whole` whose first parts
    are cut off gives such experts. Raises `ValueError` for no experts, and where there
    is nothing to share, or to branch.
    """
    end, least = whole.parts, 2 if fused else max(whole.first, 1)
    if not widths:
        raise ValueError("widths is empty; at least one expert is needed")
    if not least <= branch < end:
        raise ValueError(f"branch is {branch}; it must be in {least}..{end - 1}")
    if fused and whole.first > least:
        raise ValueError(f"part {whole.first} is the first; fused experts need stage 1")
    branches = tuple(whole.copy(first=branch, last=end, width=w) for w in widths)
    if not fused:
        return Experts((whole.copy(last=branch),), branches)
    cuts = range(2, branch + 1)
    trunk = tuple(
        whole.copy(first=n - 1 if n > 2 else whole.first, last=n) for n in cuts
    )
    shallow = tuple(
        Alignment(
            source=i % len(trunk),
            convolutions=end - 2 - i % len(trunk),
            channels=branches[i].dim,
            dtype=whole.dtype,
            axis_name=whole.axis_name,
        )
        for i in range(len(widths))
    )
    return Experts(trunk, branches, shallow)
