"""Disentangled attention over time, with a cross term between backbones (DAKD, section 3.2).

Content and relative position are kept apart: a snippet looks at another one's content, at its distance, and is looked
at for its own content from that distance. Of several backbones, each also looks at the others' content.

Shapes: B videos, T snippets, D features, h heads, d width of a head, r = h·d, 2k relative positions.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wsvad.layers import pieces
from wsvad.layers.dropout import dropped
from wsvad.layers.share import shared, whole_of

Term = Literal["self", "cross", "c2p", "p2c"]
"""Self and cross content-to-content, content-to-position, position-to-content."""
TERMS: tuple[Term, ...] = ("self", "cross", "c2p", "p2c")
ROOM = 2**22
"""Relative terms held at a time, over all videos and heads; a long video's queries go a piece at a time."""
BAND = 64
"""Queries that share a band of keys: seen from a few neighbours, all that is beyond it is equally far."""


def gamma(i: Tensor, j: Tensor, k: int) -> Tensor:
    """Eq. 1, γ(i, j): `i − j + k`, limited to [0, 2k − 1]. `(I,)` and `(J,)` → `(I, J)` int64."""
    return (i[:, None] - j[None, :] + k).clamp(0, 2 * k - 1)


def terms_of(terms: Sequence[Term], backbones: int) -> tuple[Term, ...]:
    """The terms that so many backbones have: one has no cross term, and looks at itself where no other term is left."""
    return tuple(term for term in terms if term != "cross" or backbones > 1) or ("self",)


class DisentangledAttention(nn.Module):
    """Eq. 2–5: for backbone t of `T_b`, with one softmax over j in each head,

    `Ã_ijt = Q_i^t·K_j^t + Σ_{h≠t} Q_i^t·K_j^h + Q_i^t·K^r_γ(i,j) + K_j^t·Q^r_γ(j,i)`,

    `H_t = softmax(Ã_t / √(n·d))·V^t`, and `H` is the mean of all H_t. n counts the terms, T_b + 2 with all of them.

    The first two terms are one product, `Q_i^t·Σ_h K_j^h`. The last two are products with the 2k rows of a table,
    `(B, h, T, 2k)`, from which γ picks; no vector is ever made for a pair of snippets. Nothing has a bias.
    """

    def __init__(
        self,
        width: int,
        inner: int,
        *,
        heads: int,
        backbones: int = 1,
        k: int = 25,
        terms: Sequence[Term] = TERMS,
        p2c_index: Literal["ji", "ij"] = "ji",
        dropout: float = 0.0,
        learn_table: bool = True,
        table_std: float = 0.02,
    ):
        """`width` is D, `inner` r. `p2c_index` is γ(j,i) in the last term, as printed, or γ(i,j)."""
        super().__init__()
        if inner % heads:
            raise ValueError(f"a width of {inner} cannot be split among {heads} heads")
        self.heads, self.k, self.p2c_index, self.dropout = heads, k, p2c_index, dropout
        self.terms = terms = terms_of(terms, backbones)
        self.scale = ((len(terms) + ("cross" in terms) * (backbones - 2)) * (inner // heads)) ** -0.5
        reads: dict[str, set[Term]] = {"q": {"self", "cross", "c2p"}, "k": {"self", "cross", "p2c"}, "v": set(terms)}
        self.content = "".join(name for name, by in reads.items() if by & set(terms))
        self.qkv = nn.ModuleList(nn.Linear(width, len(self.content) * inner, bias=False) for _ in range(backbones))
        self.relative = "".join(name for name, term in (("k", "c2p"), ("q", "p2c")) if term in terms)
        self.folded: Tensor | None
        self.register_buffer("folded", None, persistent=False)
        if self.relative:
            self.table = nn.Parameter(torch.randn(2 * k, width) * table_std, requires_grad=learn_table)
            self.kq_r = nn.Linear(width, len(self.relative) * inner, bias=False)

    def forward(self, z: Sequence[Tensor]) -> Tensor:
        """Each backbone's `(B, T, D)` → H, `(B, T, r)`."""
        parts = [dict(zip(self.content, self._split(qkv(x)), strict=True)) for qkv, x in zip(self.qkv, z, strict=True)]
        position = dict(zip(self.relative, self._position(), strict=True))
        total = torch.stack([part["k"] for part in parts]).sum(0) if "cross" in self.terms else None
        each = [self._attend(part, self._key(part, total), position) for part in parts]
        return each[0] if len(each) == 1 else torch.stack(each).mean(0)

    def _key(self, part: dict[str, Tensor], total: Tensor | None) -> Tensor | None:
        """What a query meets in the first two terms, `(B, h, T, d)`: `Σ_h K^h`, or the part of it that is wanted."""
        if total is None:
            return part["k"] if "self" in self.terms else None
        return total if "self" in self.terms else total - part["k"]

    def _attend(self, part: dict[str, Tensor], key: Tensor | None, position: dict[str, Tensor]) -> Tensor:
        """H_t, `(B, T, r)`."""
        value = part["v"].contiguous()  # read once for each piece
        query, key = (part["q"], key) if key is not None else (torch.zeros_like(value), torch.zeros_like(value))
        length, drop = value.shape[2], self.dropout if self.training else 0.0
        by_query = with_table(part["q"], position["k"]) if "k" in position else None
        by_key = with_table(part["k"], position["q"]) if "q" in position else None
        size = max(1, ROOM // (whole_of(value.shape)[0][0] * self.heads * length)) if position else length
        key = key.contiguous()

        def piece(start: int) -> Tensor:
            rows = range(start, min(start + size, length))
            attend = attend_in_share if drop and shared() else F.scaled_dot_product_attention
            h = attend(
                query[:, :, rows.start : rows.stop], key, value,
                attn_mask=self._bias(by_query, by_key, rows), dropout_p=drop, scale=self.scale,
            )  # fmt: skip
            return h.transpose(1, 2).flatten(2)

        return pieces.joined(map(piece, range(0, length, size)), length)

    def _bias(self, by_query: Tensor | None, by_key: Tensor | None, rows: range) -> Tensor | None:
        """The last two terms for a piece of queries, `(B, h, I, T)`, from all snippets' products with the table.

        As γ is limited, there is nothing to pick but in a band about a few neighbouring queries: on either side of it,
        all are equally far.
        """
        given = by_query if by_query is not None else by_key
        if given is None:
            return None
        (videos, heads, length, _), k = given.shape, self.k
        bias = given.new_empty(videos, heads, len(rows), length)
        for start in rows[::BAND]:
            own = range(start, min(start + BAND, rows.stop))
            low, high = max(0, own.start - k + 1), min(length, own.stop - 1 + k)
            part = bias[:, :, own.start - rows.start : own.stop - rows.start]
            for keys, end in ((range(low), -1), (range(low, high), None), (range(high, length), 0)):
                if keys:
                    terms = self._seen_by_query(by_query, own, keys, end), self._seen_by_key(by_key, own, keys, end)
                    put([term for term in terms if term is not None], part[..., keys.start : keys.stop])
        return bias

    def _seen_by_query(self, by_query: Tensor | None, own: range, keys: range, end: int | None) -> Tensor | None:
        """Content-to-position for some queries and keys, `(B, h, I, J)`; `end` is where in the table all of these keys
        are, if they are equally far: then `(B, h, I, 1)`."""
        if by_query is None:
            return None
        its = by_query[:, :, own.start : own.stop]
        return pick(its, gamma(*places(own, keys, its), self.k)) if end is None else its[..., end, None]

    def _seen_by_key(self, by_key: Tensor | None, own: range, keys: range, end: int | None) -> Tensor | None:
        """Position-to-content in the same way; of keys that are equally far, `(B, h, 1, J)`."""
        if by_key is None:
            return None
        its, printed = by_key[:, :, keys.start : keys.stop], self.p2c_index == "ji"
        if end is not None:
            return its[:, :, None, :, -1 - end if printed else end]
        i, j = places(own, keys, its)
        index = gamma(j, i, self.k).T if printed else gamma(i, j, self.k)
        flat = index + 2 * self.k * (j - keys.start)  # of all keys' rows, one after another: nothing to transpose then
        return pick(its.flatten(2)[:, :, None], flat.flatten()[None]).unflatten(-1, index.shape)[:, :, 0]

    def _position(self) -> Sequence[Tensor]:
        """Eq. 3: `K^r` and `Q^r`, those that are needed, divided by √(n·d), `(h, 2k, d)` each."""
        if not self.relative:
            return []
        both = self.kq_r(self.table) * self.scale if self.folded is None else self.folded
        return both.unflatten(-1, (len(self.relative), self.heads, -1)).permute(1, 2, 0, 3).unbind(0)

    def _split(self, x: Tensor) -> Sequence[Tensor]:
        """`(B, T, n·r)` → n times `(B, h, T, d)`, views."""
        return x.unflatten(-1, (len(self.content), self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    @torch.no_grad()
    def fold(self) -> None:
        """For scoring alone: multiply table and matrices once and for all."""
        if self.relative and self.folded is None:
            self.folded = self.kq_r(self.table) * self.scale
            del self.table, self.kq_r


def attend_in_share(
    query: Tensor, key: Tensor, value: Tensor, *, attn_mask: Tensor | None, dropout_p: float, scale: float
) -> Tensor:
    """torch's `scaled_dot_product_attention`, with the dropout of a whole batch of which this is a rank's share."""
    logits = query @ key.transpose(-2, -1) * scale
    weights = (logits if attn_mask is None else logits + attn_mask).softmax(-1)
    return dropped(weights, dropout_p) @ value


def with_table(x: Tensor, table: Tensor) -> Tensor:
    """Products of each `(B, h, T, d)` with its head's `(h, 2k, d)`: `(B, h, T, 2k)`, as one product a head."""
    flat = x.transpose(1, 2).flatten(0, 1).transpose(0, 1)
    return (flat @ table.transpose(1, 2)).unflatten(1, (x.shape[0], x.shape[2])).transpose(0, 1)


def places(own: range, keys: range, like: Tensor) -> tuple[Tensor, Tensor]:
    """Two ranges of snippets as tensors."""
    i, j = (torch.arange(r.start, r.stop, device=like.device) for r in (own, keys))
    return i, j


def pick(scores: Tensor, index: Tensor) -> Tensor:
    """From each snippet's scores with the table, `(B, h, I, 2k)`, those at `(I, J)` → `(B, h, I, J)`."""
    return scores.gather(-1, index.expand(*scores.shape[:2], -1, -1))


def put(terms: Sequence[Tensor], place: Tensor) -> None:
    """Write the sum of one or two terms, which may have to be repeated, into part of a tensor."""
    if len(terms) == 1 or torch.is_grad_enabled():
        place.copy_(sum(terms[1:], terms[0]))
    else:
        torch.add(*terms, out=place)  # nothing in between; only without gradients
