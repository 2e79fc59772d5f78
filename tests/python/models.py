"""Small models with in-place custom operations."""
import torch

LIBRARY = torch.library.Library("regraft_test", "DEF")


def _define(schema, kernel, fake, tags=()):
    name = schema.split("(")[0]
    LIBRARY.define(schema, tags=tags)
    LIBRARY.impl(name, kernel, "CPU")
    LIBRARY.impl(name, fake, "Meta")


def _rotate(q, k, positions):
    """Turns neighbouring pairs of q and k, as a rotary embedding does."""
    for x in (q, k):
        if x is None:
            continue
        angle = positions.to(x.dtype)[:, None] * torch.arange(1, x.shape[-1] // 2 + 1, dtype=x.dtype)
        a, b = x[..., ::2].clone(), x[..., 1::2].clone()
        x[..., ::2], x[..., 1::2] = a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()


def _store(k, v, cache, slots):
    cache[0].index_copy_(0, slots, k)
    cache[1].index_copy_(0, slots, v)


def _read(q, k):
    """An operation that relies on nothing but the values."""
    return (q * 2 + k.sum(-1, keepdim=True)).contiguous()


def _mix(x, y, z, factor):
    x.mul_(factor).add_(z.sum() * 0.01)
    y.add_(x.sum() * 0.02)
    return (z * 2).contiguous()


_define("rotate(Tensor(a!) q, Tensor(b!)? k, Tensor positions) -> ()", _rotate, lambda *arguments: None)
_define("store(Tensor k, Tensor v, Tensor(a!) cache, Tensor slots) -> ()", _store, lambda *arguments: None)
_define("read(Tensor q, Tensor k) -> Tensor", _read, lambda q, k: torch.empty(q.shape, device=q.device, dtype=q.dtype),
        (torch.Tag.flexible_layout,) if hasattr(torch.Tag, "flexible_layout") else ())
_define("mix(Tensor(a!) x, Tensor(b!) y, Tensor z, float factor) -> Tensor", _mix, lambda x, y, z, factor: z.new_empty(z.shape))
OPS = torch.ops.regraft_test

TOKENS, WIDTH = 6, 16


def qkv(x, w, positions):
    """The documented example: q and k of one projection, rotated in place."""
    q, k, v = (x @ w).split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    return OPS.read(q, k) + v.sum(-1, keepdim=True)


def slices(x, w, positions):
    whole = x @ w
    OPS.rotate(whole[:, :8], whole[:, 8:12], positions)
    return OPS.read(whole[:, :8], whole[:, 8:12]) * whole[:, 12:].sum()


def heads(x, w, positions):
    q, k, v = (x @ w).split([8, 4, 4], -1)
    OPS.rotate(q.unflatten(-1, (2, 4))[:, 0], None, positions)
    return OPS.read(q, k) + v.mean()


def normed(x, w, positions):
    """q and k are views of norms of heads, which Inductor computes element by element."""
    def norm(heads):
        return heads * torch.rsqrt(heads.pow(2).mean(-1, keepdim=True) + 1e-6) * w[0, :8]
    q, k, v = (x[:, :4] @ w.view(4, 64)).split([32, 16, 16], -1)
    q, k = norm(q.unflatten(-1, (4, 8))).flatten(-2), norm(k.unflatten(-1, (2, 8))).flatten(-2)
    OPS.rotate(q, k, positions)
    q, k = q.unflatten(-1, (4, 8)), k.unflatten(-1, (2, 8))
    return OPS.read(q, q) + OPS.read(k, k).sum() + v.mean()


def twice(x, w, positions):
    q, k, v = (x @ w).split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    OPS.rotate(q, k, positions)
    return OPS.read(q, k) + v.mean()


def escape(x, w, positions):
    """The whole buffer is returned."""
    whole = x @ w
    q, k, _ = whole.split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    return whole, OPS.read(q, k)


def input_changes(x, w, positions):
    """The caller's tensor is to change."""
    q, k, v = x.split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    return OPS.read(q, k) @ w[:8] + v.mean()


def input_stays(x, w, positions):
    """The caller's tensor must not change: a copy is needed."""
    q, k, v = x.clone().split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    return OPS.read(q, k) @ w[:8] + v.mean()


def old_values(x, w, positions):
    """What was there before is read later: a copy is needed."""
    q, k, v = (x @ w).split([8, 4, 4], -1)
    before = q.clone()
    OPS.rotate(q, k, positions)
    return OPS.read(q, k) + OPS.read(before, v)


def caches(x, w, positions, cache):
    q, k, v = (x @ w).split([8, 4, 4], -1)
    OPS.rotate(q, k, positions)
    OPS.store(k, v, cache, positions)
    return OPS.read(q, k)


def later_rows(x, w, positions):
    """The first row that is written is computed from the number of tokens."""
    q, k, v = (x @ w).split([8, 4, 4], -1)
    first = x.shape[0] // 2
    OPS.rotate(q[first:], k[first:], positions[1:2])
    return OPS.read(q, k) + v.sum(-1, keepdim=True)


def plain(x, w, positions):
    """Ordinary in-place operations on overlapping views."""
    whole = x @ w
    whole[:, :8].add_(1.0)
    whole[:, 4:12].mul_(2.0)
    return OPS.read(whole[:, :8], whole[:, 8:12])


def rows(x, w, positions):
    """Rows named by numbers, of however many there are."""
    whole = x @ w
    whole[2:4].zero_()
    return OPS.read(whole[:, :8], whole[:, 8:12])


MODELS = {model.__name__: model for model in (qkv, slices, heads, normed, twice, escape, input_changes, input_stays, old_values,
                                              caches, plain, rows)}


def inputs(name, tokens=TOKENS):
    generator = torch.Generator().manual_seed(1)
    made = [torch.randn(tokens, WIDTH, generator=generator), torch.randn(WIDTH, WIDTH, generator=generator),
            torch.arange(tokens)]
    if name == "caches":
        made.append(torch.zeros(2, tokens + 2, 4))
    return made
