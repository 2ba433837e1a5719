"""The transformer block of UR-DMU and of π-VAD's inductors.

Shapes: B videos, T snippets, D features.
"""

from torch import Tensor, nn

from wsvad.layers import pieces
from wsvad.layers.attention import GlobalLocalAttention, LocalNorm
from wsvad.layers.dropout import Dropout


class Block(nn.Module):
    """A pre-norm transformer block: `x ← x + Att(LN(x))`, `x ← x + FF(LN(x))`; no positions, no mask, no final norm."""

    def __init__(
        self,
        width: int,
        *,
        heads: int,
        feed_forward: int,
        dropout: float,
        local_norm: LocalNorm,
        head_width: int | None = None,
    ):
        """`head_width` is D/heads by default; `feed_forward` is the hidden width of the feed-forward layer."""
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = GlobalLocalAttention(width, heads, local_norm, head_width)
        self.dropout = Dropout(dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, feed_forward), nn.GELU(), Dropout(dropout),
            nn.Linear(feed_forward, width), Dropout(dropout),
        )  # fmt: skip

    def forward(self, x_BTD: Tensor, *, newest: bool = False) -> Tensor:
        """`(B, T, D)` → `(B, T, D)`; of the `newest` snippet alone, `(B, 1, D)`."""
        attended = self.dropout(self.attention(self.attention_norm(x_BTD), newest=newest))
        x_BTD = (x_BTD[:, -1:] if newest else x_BTD) + attended
        fed = (x + self.feed_forward(self.feed_forward_norm(x)) for x in x_BTD.split(pieces.PIECE, 1))
        return pieces.joined(fed, x_BTD.shape[1])
