"""ADM computed from its own state dict with functions of torch only: an oracle for the import into diffusers.

A network is listed block by block as (channels in, channels out, parts). Part j of block i of the input is
`input_blocks.i.j` in the state dict. On the way up, the input of a block is the last output, concatenated with the last
unused output of the way down.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

Block = tuple[int, int, str]


@dataclass(frozen=True)
class Reference:
    width: int
    image_channels: int
    head_channels: int
    groups: int
    input: list[Block]
    middle: Block
    output: list[Block]

    @property
    def blocks(self):
        yield from ((f"input_blocks.{i}", block) for i, block in enumerate(self.input))
        yield "middle_block", self.middle
        yield from ((f"output_blocks.{i}", block) for i, block in enumerate(self.output))

    def shapes(self):
        """Shapes of all tensors, by name."""
        shapes = {
            **linear("time_embed.0", self.width, 4 * self.width),
            **linear("time_embed.2", 4 * self.width, 4 * self.width),
            **norm("out.0", self.width),
            **convolution("out.2", self.width, 2 * self.image_channels, 3),
        }
        for prefix, (c_in, c_out, parts) in self.blocks:
            for j, part in enumerate(parts.split()):
                shapes |= self.part_shapes(f"{prefix}.{j}", part, c_in if j == 0 else c_out, c_out)
        return shapes

    def part_shapes(self, name, part, c_in, c_out):
        if part == "conv":
            return convolution(name, c_in, c_out, 3)
        if part == "att":
            return {
                **norm(f"{name}.norm", c_out),
                f"{name}.qkv.weight": (3 * c_out, c_out, 1),
                f"{name}.qkv.bias": (3 * c_out,),
                f"{name}.proj_out.weight": (c_out, c_out, 1),
                f"{name}.proj_out.bias": (c_out,),
            }
        return {
            **norm(f"{name}.in_layers.0", c_in),
            **convolution(f"{name}.in_layers.2", c_in, c_out, 3),
            **linear(f"{name}.emb_layers.1", 4 * self.width, 2 * c_out),
            **norm(f"{name}.out_layers.0", c_out),
            **convolution(f"{name}.out_layers.3", c_out, c_out, 3),
            **(convolution(f"{name}.skip_connection", c_in, c_out, 1) if c_in != c_out else {}),
        }

    def random_state(self, seed):
        """Random weights with which every tensor matters: none is zero, and no norm is the identity."""
        generator = torch.Generator().manual_seed(seed)

        def draw(name, shape):
            normal = torch.randn(shape, generator=generator)
            if len(shape) > 1:
                return normal / math.sqrt(math.prod(shape[1:]))
            return 1 + 0.3 * normal if name.endswith("weight") else 0.3 * normal

        return {name: draw(name, shape) for name, shape in self.shapes().items()}

    def forward(self, state, x, t):
        """Apply the network to x (B, C, H, W) at steps t (B,); return (B, 2C, H, W)."""
        angles = t[:, None] * torch.exp(-math.log(10000) * torch.arange(self.width // 2) / (self.width // 2))
        embedding = torch.cat([angles.cos(), angles.sin()], dim=1).to(x.dtype)
        hidden = F.silu(F.linear(embedding, *weights(state, "time_embed.0")))
        emb = F.linear(hidden, *weights(state, "time_embed.2"))
        h, skips = x, []
        for prefix, (_, _, parts) in self.blocks:
            if prefix.startswith("output"):
                h = torch.cat([h, skips.pop()], dim=1)
            for j, part in enumerate(parts.split()):
                h = self.part(state, f"{prefix}.{j}", part, h, emb)
            if prefix.startswith("input"):
                skips.append(h)
        assert not skips
        h = F.silu(self.group_norm(state, "out.0", h))
        return F.conv2d(h, *weights(state, "out.2"), padding=1)

    def part(self, state, name, part, h, emb):
        if part == "conv":
            return F.conv2d(h, *weights(state, name), padding=1)
        if part == "att":
            return self.attention(state, name, h)
        return self.residual(state, name, part, h, emb)

    def residual(self, state, name, part, x, emb):
        h = F.silu(self.group_norm(state, f"{name}.in_layers.0", x))
        if part == "down":
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        if part == "up":
            h, x = (y.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3) for y in (h, x))
        h = F.conv2d(h, *weights(state, f"{name}.in_layers.2"), padding=1)
        scale_shift = F.linear(F.silu(emb), *weights(state, f"{name}.emb_layers.1"))[:, :, None, None]
        channels = h.shape[1]
        h = self.group_norm(state, f"{name}.out_layers.0", h)
        h = h * (1 + scale_shift[:, :channels]) + scale_shift[:, channels:]
        h = F.conv2d(F.silu(h), *weights(state, f"{name}.out_layers.3"), padding=1)
        if f"{name}.skip_connection.weight" in state:
            x = F.conv2d(x, *weights(state, f"{name}.skip_connection"))
        return x + h

    def attention(self, state, name, x):
        d = self.head_channels
        pixels = self.group_norm(state, f"{name}.norm", x).flatten(2)  # (B, C, HW)
        qkv = F.conv1d(pixels, *weights(state, f"{name}.qkv"))  # (B, 3C, HW)
        heads = []
        for first in range(0, qkv.shape[1], 3 * d):
            q, k, v = (qkv[:, first + i * d : first + (i + 1) * d] for i in range(3))
            weight = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(d), dim=2)  # (B, queries, keys)
            heads.append(v @ weight.transpose(1, 2))
        h = F.conv1d(torch.cat(heads, dim=1), *weights(state, f"{name}.proj_out"))
        return x + h.reshape(x.shape)

    def group_norm(self, state, name, x):
        grouped = x.reshape(len(x), self.groups, -1)
        mean, variance = grouped.mean(2, keepdim=True), grouped.var(2, keepdim=True, unbiased=False)
        weight, bias = (tensor[:, None, None] for tensor in weights(state, name))
        shape = x.shape if x.ndim == 4 else (*x.shape, 1)
        return ((grouped - mean) / (variance + 1e-5).sqrt()).reshape(shape) * weight + bias


def linear(name, c_in, c_out):
    return {f"{name}.weight": (c_out, c_in), f"{name}.bias": (c_out,)}


def convolution(name, c_in, c_out, size):
    return {f"{name}.weight": (c_out, c_in, size, size), f"{name}.bias": (c_out,)}


def norm(name, channels):
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def weights(state, name):
    return state[f"{name}.weight"], state[f"{name}.bias"]
