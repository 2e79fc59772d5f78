"""PyTorch's compiled chain for bench_kernels: rotary embedding in f32, then the write of the key-value cache, in place.

Reads lines `shape ...`, then `run TOKENS COLD CALLS`; answers `ready`, then microseconds of one call."""

import sys
import time

try:
    import torch
except ImportError:
    sys.exit("no torch in this Python: python3 -m venv build/venv-torch && "
             "build/venv-torch/bin/pip install torch==2.13.0, from the CPU index where that is at hand")


def rotate(x, cos, sin, interleaved):
    """x [tokens, heads, width] in place, its first elements as pairs."""
    wide = x.float()
    if interleaved:
        a, b = wide[..., ::2], wide[..., 1::2]
        result = torch.stack((a * cos - b * sin, b * cos + a * sin), dim=-1).flatten(-2)
    else:
        a, b = wide.chunk(2, dim=-1)
        result = torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)
    x.copy_(result.to(x.dtype))


def to_cache(x, cache, scale):
    if cache.dtype == x.dtype:
        return x
    return (x.float() / scale).clamp(-448, 448).to(cache.dtype)


def grouped(query, key, value, positions, table, slots, key_cache, value_cache, scale, interleaved):
    cos, sin = table[positions].unsqueeze(1).chunk(2, dim=-1)
    rotate(query, cos, sin, interleaved)
    rotate(key, cos, sin, interleaved)
    key_cache[slots] = to_cache(key, key_cache, scale)
    value_cache[slots] = to_cache(value, value_cache, scale)


def latent(query, latents, positions, table, slots, cache, scale, interleaved, rank):
    cos, sin = table[positions].unsqueeze(1).chunk(2, dim=-1)
    rotate(query, cos, sin, interleaved)
    rotate(latents[:, rank:].unsqueeze(1), cos, sin, interleaved)
    cache[slots] = to_cache(latents, cache, scale)


def calls_for(shape):
    heads, key_heads, size, rotary, rank, interleaved, fp8, tokens, rows = shape
    cache_type = torch.float8_e4m3fn if fp8 else torch.bfloat16
    table = torch.randn(65536, rotary)
    positions = torch.randint(0, 65536, (tokens,))
    slots = torch.randperm(rows)[:tokens]
    scale = torch.tensor(0.5)
    if rank:
        query = torch.randn(tokens, heads, size, dtype=torch.bfloat16)
        latents = torch.randn(tokens, rank + rotary, dtype=torch.bfloat16)
        cache = torch.zeros(rows, rank + rotary).to(cache_type)
        chain = torch.compile(latent, dynamic=True)

        def window(first, last):
            return (query[first:last, :, size - rotary:], latents[first:last], positions[first:last], table,
                    slots[first:last], cache, scale, bool(interleaved), rank)
    else:
        rows_of = torch.randn(tokens, (heads + 2 * key_heads) * size, dtype=torch.bfloat16)
        caches = [torch.zeros(rows, key_heads, size).to(cache_type) for _ in range(2)]
        chain = torch.compile(grouped, dynamic=True)

        def window(first, last):
            q, k, v = rows_of[first:last].split([heads * size, key_heads * size, key_heads * size], dim=-1)
            return (q.unflatten(-1, (heads, size)), k.unflatten(-1, (key_heads, size)),
                    v.unflatten(-1, (key_heads, size)), positions[first:last], table, slots[first:last], *caches, scale,
                    bool(interleaved))
    return chain, window, tokens


def main():
    chain = window = tokens = None
    windows, cursor = {}, {}
    for line in sys.stdin:
        words = line.split()
        if words[0] == "shape":
            chain, window, tokens = calls_for([int(word) for word in words[1:]])
            with torch.inference_mode():
                chain(*window(0, 64))
            print("ready", flush=True)
            continue
        count, cold, calls = (int(word) for word in words[1:])
        if count not in windows:  # views made ahead: their time is not the chain's
            most = min(tokens // count, 4096)
            windows[count] = [window(i * count, (i + 1) * count) for i in range(most)]
            cursor[count] = 0
        with torch.inference_mode():
            start = time.perf_counter_ns()
            for _ in range(calls):
                chain(*windows[count][cursor[count]])
                if cold:
                    cursor[count] = (cursor[count] + 1) % len(windows[count])
            print((time.perf_counter_ns() - start) / 1e3 / calls, flush=True)


if __name__ == "__main__":
    main()
