"""UR-DMU written down plainly, operation by operation as the paper and its public code describe it.

What our network is timed against, and an independent oracle for its numbers. It does what a direct transcription
does: the local matrix is built per call and copied per head, attention weights are materialised, a memory is read into
T vectors of full width before the linear layers that follow. Nothing here is imported by the package.

Shapes: N sequences (normal half first, then abnormal), T snippets, D features, H hidden width, M memory slots.
"""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    def __init__(self, width: int, heads: int, head_width: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkvt = nn.Linear(width, 4 * heads * head_width, bias=False)
        self.out = nn.Linear(2 * heads * head_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        count, length, _ = x.shape
        q, k, v, t = (
            part.reshape(count, length, self.heads, -1).permute(0, 2, 1, 3)
            for part in self.qkvt(self.norm(x)).chunk(4, dim=-1)
        )
        global_weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        positions = torch.arange(length, dtype=torch.float32)
        decay = torch.exp(-(positions[None, :] - positions[:, None]).abs() / math.e)
        local_weights = (decay / decay.sum(-1)).repeat(count, self.heads, 1, 1)  # a row of sums divides the columns
        out = torch.cat([global_weights @ v, local_weights @ t], dim=-1)
        return self.dropout(self.out(out.permute(0, 2, 1, 3).reshape(count, length, -1)))


class FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.down(self.dropout(F.gelu(self.up(self.norm(x))))))


class Memory(nn.Module):
    def __init__(self, slots: int, width: int):
        super().__init__()
        self.slots = nn.Parameter(torch.empty(slots, width).uniform_(-(width**-0.5), width**-0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        slots, width = self.slots.shape
        weights = torch.sigmoid(torch.einsum("ntd,md->ntm", x, self.slots) / math.sqrt(width))
        top = torch.topk(weights, slots // 16 + 1, dim=-1).values.mean(-1)
        return top, torch.einsum("ntm,md->ntd", weights, self.slots)


class EagerUrDmu(nn.Module):
    """The network with its forward pass for training (`train_pass`), its loss and its forward pass for scoring."""

    def __init__(self, width: int, hidden: int = 512, heads: int = 4, slots: int = 60, head: int = 128, dropout=0.5):
        super().__init__()
        self.conv = nn.Conv1d(width, hidden, 3, padding=1)
        self.layers = nn.ModuleList()
        for _ in range(2):
            self.layers += [Attention(hidden, heads, hidden // heads, dropout), FeedForward(hidden, hidden, dropout)]
        self.abnormal, self.normal = Memory(slots, hidden), Memory(slots, hidden)
        self.mu, self.log_variance = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)
        self.head = nn.Sequential(nn.Linear(2 * hidden, head), nn.ReLU(), nn.Linear(head, 1), nn.Sigmoid())

    def encode(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x.permute(0, 2, 1))).permute(0, 2, 1)
        for layer in self.layers:
            x = layer(x) + x
        return x

    def forward(self, x: Tensor) -> Tensor:
        """`(B, T, D)` or `(B, C, T, D)` → scores `(B, T)`."""
        crops = x.shape[1] if x.ndim == 4 else 1
        x = self.encode(x.reshape(-1, *x.shape[-2:]))
        extra = self.mu(self.abnormal(x)[1]) + self.mu(self.normal(x)[1])
        return self.head(torch.cat([x, extra], dim=-1)).reshape(-1, crops, x.shape[1]).mean(1)

    def train_pass(self, x: Tensor) -> SimpleNamespace:
        """Everything that the loss needs, for `(N, T, D)`."""
        x = self.encode(x)
        k = x.shape[1] // 16 + 1
        normal, abnormal = x.chunk(2)
        a_att, a_aug = self.abnormal(abnormal)
        na_att, na_aug = self.normal(abnormal)
        an_att, an_aug = self.abnormal(normal)
        n_att, n_aug = self.normal(normal)

        def mean_at_top(values: Tensor, attention: Tensor) -> Tensor:
            index = torch.topk(attention, k, dim=-1).indices[..., None].expand(-1, -1, values.shape[-1])
            return torch.gather(values, 1, index).mean(1)

        anchor, positive = mean_at_top(normal, n_att), mean_at_top(abnormal, na_att)
        negative = mean_at_top(abnormal, a_att)
        unit = [v / v.norm(dim=-1, keepdim=True) for v in (anchor, positive, negative)]
        triplet = F.triplet_margin_loss(*unit, margin=1)
        n_mu, n_log_variance = self.mu(n_aug), self.log_variance(n_aug)
        n_new = n_mu + torch.randn_like(n_mu) * torch.exp(n_log_variance / 2)
        a_new = self.mu(a_aug)
        kl = (-0.5 * (1 + n_log_variance - n_mu**2 - n_log_variance.exp()).sum(1)).mean()
        far, near = mean_at_top(a_new, a_att).norm(dim=-1), mean_at_top(n_new, n_att).norm(dim=-1)
        distance = torch.relu(100 - far + near).mean()
        extra = torch.cat([n_new + self.mu(an_aug), a_new + self.mu(na_aug)])
        scores = self.head(torch.cat([x, extra], dim=-1)).squeeze(-1)
        return SimpleNamespace(**{name: value for name, value in locals().items() if isinstance(value, Tensor)}, k=k)

    def loss(self, x: Tensor) -> dict[str, Tensor]:
        """The parts of the loss, weighted, for normal then abnormal sequences `(N, T, D)`."""
        out = self.train_pass(x)
        labels = torch.cat([torch.zeros(len(x) // 2), torch.ones(len(x) // 2)])
        ones = torch.ones(len(x) // 2)

        def top(values: Tensor) -> Tensor:
            return torch.topk(values, out.k, dim=-1).values.mean(-1)

        memory = F.binary_cross_entropy(top(out.a_att), ones) + F.binary_cross_entropy(top(1 - out.na_att), ones)
        memory = memory + F.binary_cross_entropy(out.n_att, torch.ones_like(out.n_att))
        memory = memory + F.binary_cross_entropy(out.an_att, torch.zeros_like(out.an_att))
        parts = {
            "cls": F.binary_cross_entropy(top(out.scores), labels),
            "dm": 0.1 * memory,
            "triplet": 0.1 * out.triplet,
            "kl": 0.001 * out.kl,
            "distance": 0.0001 * out.distance,
        }
        return parts | {"total": sum(parts.values())}
