"""usage: peers.py LIBREGRAFT_KERNELS [--vllm SO] [--flashinfer SO] [--inductor] [--only fused|others|rows] [--torch-graphs] [--json FILE] [--quick]

The GPU's kernels beside other projects' kernels for the same work, in one run on one set of buffers: vLLM's (the shared library
_C_stable_libtorch of its wheel), FlashInfer's (flashinfer.cu) and what Inductor makes of the same chain. Needs PyTorch. `fused`: rotation
with cache write; `others`: caches alone, norms before the rotation; `rows`: norms and activation.
A CUDA graph of many launches is replayed; its launches go over sets of buffers; cold: other data went through the L2 before; hot:
one set. The arms take turns. Medians of the replays with p10 and p90."""
import argparse, ctypes, json, statistics, sys

import torch

ROUNDS, BLOCK, TABLE_ROWS, SETS, SET_BYTES = 15, 64, 65536, 400, 400 << 20
i64, i32, f32, pointer = ctypes.c_int64, ctypes.c_int, ctypes.c_float, ctypes.c_void_p


def struct(name, *fields):
    return type(name, (ctypes.Structure,), {'_fields_': list(fields)})


# As in regraft/kernels.h.
Heads = struct('Heads', ('data', pointer), ('heads', i64), ('token_stride', i64), ('head_stride', i64))
Rotation = struct('Rotation', ('positions', pointer), ('table', pointer), ('table_type', i32), ('table_rows', i64),
                  ('table_stride', i64), ('width', i64), ('offset', i64), ('interleaved', i32), ('inverse', i32))
Slots = struct('Slots', ('slots', pointer), ('count', i64))
Cache = struct('Cache', ('data', pointer), ('type', i32), ('blocks', i64), ('block_size', i64), ('block_stride', i64),
               ('row_stride', i64), ('head_stride', i64), ('scale', pointer))
RopeCache = struct('RopeCache', ('tokens', i64), ('head_size', i64), ('value_size', i64), ('type', i32),
                   ('rotation', Rotation), ('query', Heads), ('key', Heads), ('value', Heads), ('query_out', Heads),
                   ('key_result', i32), ('key_out', Heads), ('slots', Slots), ('key_cache', Cache),
                   ('value_cache', Cache), ('query_weight', pointer), ('key_weight', pointer), ('epsilon', f32))
RopeLatentCache = struct('RopeLatentCache', ('tokens', i64), ('head_size', i64), ('rank', i64), ('type', i32),
                         ('rotation', Rotation), ('query', Heads), ('key_pe', Heads), ('kv_c', Heads),
                         ('query_out', Heads), ('key_result', i32), ('key_pe_out', Heads), ('slots', Slots),
                         ('cache', Cache))
CacheAlone = struct('CacheAlone', ('tokens', i64), ('head_size', i64), ('value_size', i64), ('type', i32), ('key', Heads),
                    ('value', Heads), ('slots', Slots), ('key_cache', Cache), ('value_cache', Cache))
LatentCacheAlone = struct('LatentCacheAlone', ('tokens', i64), ('head_size', i64), ('rank', i64), ('type', i32),
                          ('key_pe', Heads), ('kv_c', Heads), ('slots', Slots), ('cache', Cache))
Norm = struct('Norm', ('tokens', i64), ('size', i64), ('type', i32), ('input', Heads), ('other', Heads),
              ('weight', pointer), ('epsilon', f32))
Activation = struct('Activation', ('tokens', i64), ('size', i64), ('type', i32), ('input', Heads), ('out', Heads))
Launch = struct('Launch', ('stream', pointer), ('compile_only', i32), ('overlap', i32))
IN_PLACE, CACHE_ONLY = 0, 2


class Regraft:
    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.gpu = pointer()
        message = ctypes.create_string_buffer(256)
        if self.library.regraft_gpu_create(None, ctypes.byref(self.gpu), message, i64(256)):
            sys.exit(message.value.decode())
        self.library.regraft_gpu_message.restype = self.library.regraft_gpu_name.restype = ctypes.c_char_p

    def name(self):
        return self.library.regraft_gpu_name(self.gpu).decode()

    def call(self, function, arguments, overlap, compile_only):
        launch = Launch(torch.cuda.current_stream().cuda_stream, compile_only, overlap)
        if getattr(self.library, function)(self.gpu, ctypes.byref(arguments), ctypes.byref(launch)):
            sys.exit(self.library.regraft_gpu_message(self.gpu).decode())


class Shape:
    def __init__(self, latent, heads, key_heads, fp8, tokens):
        self.latent, self.heads, self.key_heads, self.fp8, self.tokens = latent, heads, key_heads, fp8, tokens
        self.size, self.rank = (64, 512) if latent else (128, 0)

    def bytes(self, key_written):
        """What has to move: inputs once, outputs once."""
        cached = 1 if self.fp8 else 2
        key = self.key_heads * self.size
        rows = (self.rank + self.size if self.latent else 2 * key) * (2 + cached) + (2 * key if key_written else 0)
        return self.tokens * (4 * self.heads * self.size + rows + 2 * self.size + 16)


class Sets:
    """Buffers of a shape: for each launch its own query, key, value, positions and slots; one cache and one table."""

    def __init__(self, shape):
        s, one = shape, dict(device='cuda', dtype=torch.bfloat16)
        self.shape = shape
        width = s.heads * s.size + (s.size + s.rank if s.latent else 2 * s.key_heads * s.size)
        self.count = max(12, min(SETS, SET_BYTES // (s.tokens * (2 * width + 16))))
        n = self.count
        self.query = torch.randn(n, s.tokens, s.heads * s.size, **one)
        self.key = torch.randn(n, s.tokens, s.key_heads * s.size, **one)
        self.value = torch.randn(n, s.tokens, s.rank or s.key_heads * s.size, **one)
        self.positions = torch.randint(0, TABLE_ROWS, (n, s.tokens), device='cuda')
        rows = max(16384, min(262144, s.tokens * n)) // BLOCK * BLOCK
        order = torch.randperm(rows, device='cuda')
        self.slots = torch.stack([order[(torch.arange(s.tokens, device='cuda') + i * s.tokens) % rows] for i in range(n)])
        kind = dict(device='cuda', dtype=torch.uint8 if s.fp8 else torch.bfloat16)
        row = s.rank + s.size if s.latent else s.key_heads * s.size
        self.cache = torch.zeros(rows // BLOCK, BLOCK, row, **kind)
        self.value_cache = None if s.latent else torch.zeros(rows // BLOCK, BLOCK, row, **kind)
        angle = torch.arange(TABLE_ROWS, device='cuda')[:, None] * 10000 ** (-torch.arange(0, 1, 2 / s.size, device='cuda'))
        self.wide_table = torch.cat([angle.cos(), angle.sin()], 1).float()
        self.table = self.wide_table.bfloat16()
        self.weight = torch.rand(s.size, **one) + 0.5
        self.scale = torch.full((1,), 0.3, device='cuda')
        self.blocks, self.rows = (self.slots // BLOCK).int(), (self.slots % BLOCK).int()
        self.starts = torch.arange(s.tokens + 1, device='cuda').int()


# ---- arms: name, a function of (sets, number of the set), whether it writes the rotated key back ----

def heads(x, count, size):
    return Heads(x.data_ptr(), count, count * size, size)


def ours(regraft, key_result, overlap=0):
    def run(sets, i, compile_only=0):
        s = sets.shape
        rotation = Rotation(sets.positions[i].data_ptr(), sets.table.data_ptr(), 0, TABLE_ROWS, s.size, s.size, 0,
                            int(s.latent), 0)
        row, slots = sets.cache.shape[2], Slots(sets.slots[i].data_ptr(), s.tokens)
        scale = sets.scale.data_ptr() if s.fp8 else None

        def cache(x):
            return Cache(x.data_ptr(), 3 if s.fp8 else 0, x.shape[0], BLOCK, BLOCK * row, row, s.size, scale)
        query, key = heads(sets.query[i], s.heads, s.size), heads(sets.key[i], s.key_heads, s.size)
        if s.latent:
            a = RopeLatentCache(s.tokens, s.size, s.rank, 0, rotation, query, key, heads(sets.value[i], 1, s.rank), Heads(),
                                key_result, Heads(), slots, cache(sets.cache))
            regraft.call('regraft_gpu_rope_latent_cache', a, overlap, compile_only)
        else:
            a = RopeCache(s.tokens, s.size, 0, 0, rotation, query, key, heads(sets.value[i], s.key_heads, s.size), Heads(),
                          key_result, Heads(), slots, cache(sets.cache), cache(sets.value_cache), None, None, 0)
            regraft.call('regraft_gpu_rope_cache', a, overlap, compile_only)
    run.prepare = lambda sets: run(sets, 0, 1)
    return run


def vllm_fused(sets, i):
    s = sets.shape
    torch.ops._C_cache_ops.concat_and_cache_mla_rope_fused(
        sets.positions[i], sets.query[i].view(s.tokens, s.heads, s.size), sets.key[i], sets.value[i], sets.table, False,
        sets.slots[i], sets.cache, 'fp8' if s.fp8 else 'auto', sets.scale)


def vllm_chain(sets, i):
    s, kind = sets.shape, 'fp8' if sets.shape.fp8 else 'auto'
    torch.ops._C.rotary_embedding(sets.positions[i], sets.query[i], sets.key[i], s.size, sets.table, not s.latent)
    if s.latent:
        torch.ops._C_cache_ops.concat_and_cache_mla(sets.value[i], sets.key[i], sets.cache, sets.slots[i], kind, sets.scale)
    else:
        def split(x):
            return x.view(*x.shape[:-1], s.key_heads, s.size)
        torch.ops._C_cache_ops.reshape_and_cache_flash(split(sets.key[i]), split(sets.value[i]), split(sets.cache),
                                                       split(sets.value_cache), sets.slots[i], kind, sets.scale, sets.scale)


class Requests(ctypes.Structure):
    _fields_ = [(name, pointer) for name in ('batch', 'blocks', 'rows', 'starts')]


def flashinfer(library):
    def run(sets, i):
        s, stream = sets.shape, pointer(torch.cuda.current_stream().cuda_stream)
        at = [pointer(x.data_ptr()) for x in (sets.query[i], sets.key[i], sets.value[i], sets.cache)]
        requests = Requests(sets.starts.data_ptr(), sets.blocks[i].data_ptr(), sets.rows[i].data_ptr(), sets.starts.data_ptr())
        bad = library.flashinfer_rope(at[0], at[1], pointer(sets.wide_table.data_ptr()), pointer(sets.positions[i].data_ptr()),
                                      s.tokens, s.heads, s.key_heads, s.size, int(s.latent), stream)
        if s.latent:
            bad |= library.flashinfer_append_latent(at[2], at[1], at[3], requests, s.tokens, s.rank, s.size, BLOCK, stream)
        else:
            bad |= library.flashinfer_append(at[1], at[2], at[3], pointer(sets.value_cache.data_ptr()), requests, s.tokens,
                                             s.key_heads, s.size, BLOCK, stream)
        if bad:
            sys.exit(f'FlashInfer: CUDA error {bad}')
    return run


def rotated(x, cosine, sine, interleaved):
    x = x.float()
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    a, b = a * cosine - b * sine, b * cosine + a * sine
    return (torch.stack([a, b], -1).flatten(-2) if interleaved else torch.cat([a, b], -1)).bfloat16()


def chain(query, key, value, positions, table, slots, cache, value_cache, latent: bool, size: int):
    """The model's own code: rotation out of place, results copied back, rows put into the cache."""
    cosine, sine = table[positions].float()[:, None].chunk(2, -1)
    q, k = query.view(query.shape[0], -1, size), key.view(key.shape[0], -1, size)
    k = rotated(k, cosine, sine, latent).flatten(1)
    query.copy_(rotated(q, cosine, sine, latent).flatten(1))
    if latent:
        cache.flatten(0, 1).index_put_((slots,), torch.cat([value, k], -1))
    else:
        key.copy_(k)
        cache.flatten(0, 1).index_put_((slots,), k)
        value_cache.flatten(0, 1).index_put_((slots,), value)


def inductor():
    compiled = torch.compile(chain, dynamic=False)

    def run(sets, i):
        compiled(sets.query[i], sets.key[i], sets.value[i], sets.positions[i], sets.table, sets.slots[i], sets.cache,
                 sets.value_cache, sets.shape.latent, sets.shape.size)
    run.prepare = lambda sets: [run(sets, i) for i in (0, 0, 1)]
    return run


# ---- caches alone, norms before the rotation: on the same buffers ----

def cache_of(x, size):
    row = x.shape[2]
    return Cache(x.data_ptr(), 0, x.shape[0], BLOCK, BLOCK * row, row, size, None)


def ours_cache_alone(regraft, overlap=0):
    def run(sets, i, compile_only=0):
        s, slots = sets.shape, Slots(sets.slots[i].data_ptr(), sets.shape.tokens)
        key = heads(sets.key[i], s.key_heads, s.size)
        if s.latent:
            a = LatentCacheAlone(s.tokens, s.size, s.rank, 0, key, heads(sets.value[i], 1, s.rank), slots,
                                 cache_of(sets.cache, s.size))
        else:
            a = CacheAlone(s.tokens, s.size, 0, 0, key, heads(sets.value[i], s.key_heads, s.size), slots,
                           cache_of(sets.cache, s.size), cache_of(sets.value_cache, s.size))
        regraft.call('regraft_gpu_latent_cache' if s.latent else 'regraft_gpu_cache', a, overlap, compile_only)
    run.prepare = lambda sets: run(sets, 0, 1)
    return run


def vllm_cache_alone(sets, i):
    s = sets.shape
    if s.latent:
        torch.ops._C_cache_ops.concat_and_cache_mla(sets.value[i], sets.key[i], sets.cache, sets.slots[i], 'auto', sets.scale)
        return

    def split(x):
        return x.view(*x.shape[:-1], s.key_heads, s.size)
    torch.ops._C_cache_ops.reshape_and_cache_flash(split(sets.key[i]), split(sets.value[i]), split(sets.cache),
                                                   split(sets.value_cache), sets.slots[i], 'auto', sets.scale, sets.scale)


def ours_normed(regraft, overlap=0):
    def run(sets, i, compile_only=0):
        s = sets.shape
        rotation = Rotation(sets.positions[i].data_ptr(), sets.table.data_ptr(), 0, TABLE_ROWS, s.size, s.size, 0, 0, 0)
        a = RopeCache(s.tokens, s.size, 0, 0, rotation, heads(sets.query[i], s.heads, s.size),
                      heads(sets.key[i], s.key_heads, s.size), heads(sets.value[i], s.key_heads, s.size), Heads(), CACHE_ONLY,
                      Heads(), Slots(sets.slots[i].data_ptr(), s.tokens), cache_of(sets.cache, s.size),
                      cache_of(sets.value_cache, s.size), sets.weight.data_ptr(), sets.weight.data_ptr(), 1e-6)
        regraft.call('regraft_gpu_norm_rope_cache', a, overlap, compile_only)
    run.prepare = lambda sets: run(sets, 0, 1)
    return run


def vllm_normed(sets, i):
    s = sets.shape
    for x, count in ((sets.query[i], s.heads), (sets.key[i], s.key_heads)):
        by_head = x.view(s.tokens * count, s.size)
        torch.ops._C.rms_norm(by_head, by_head, sets.weight, 1e-6)
    vllm_chain(sets, i)


# ---- norms, activation ----

class Rows:
    """Buffers of a row-wise operation: `passes` times the row goes through memory; the activation's input is twice as wide."""

    def __init__(self, operation, size, tokens):
        one = dict(device='cuda', dtype=torch.bfloat16)
        passes = dict(rms_norm=2, fused_add_rms_norm=4, silu_and_mul=3)[operation]
        wide = 2 if operation == 'silu_and_mul' else 1
        self.operation, self.size, self.tokens, self.bytes = operation, size, tokens, 2 * passes * size * tokens
        self.count = max(12, min(SETS, SET_BYTES // (2 * size * tokens * (wide + 1))))
        self.input = torch.randn(self.count, tokens, wide * size, **one)
        self.other = torch.randn(self.count, tokens, size, **one)
        self.weight = torch.randn(self.count, size, **one)  # each layer has its own


def ours_rows(regraft, overlap=0):
    def run(rows, i, compile_only=0):
        size = rows.size
        at = [heads(x, 1, x.shape[-1]) for x in (rows.input[i], rows.other[i])]
        a = (Activation(rows.tokens, size, 0, *at) if rows.operation == 'silu_and_mul' else
             Norm(rows.tokens, size, 0, *at, rows.weight[i].data_ptr(), 1e-6))
        regraft.call('regraft_gpu_' + rows.operation, a, overlap, compile_only)
    run.prepare = lambda rows: run(rows, 0, 1)
    return run


def vllm_rows(rows, i):
    a, b = rows.input[i], rows.other[i]
    if rows.operation == 'rms_norm':
        torch.ops._C.rms_norm(b, a, rows.weight[i], 1e-6)
    elif rows.operation == 'fused_add_rms_norm':
        torch.ops._C.fused_add_rms_norm(a, b, rows.weight[i], 1e-6)
    else:
        torch.ops._C.silu_and_mul(b, a)


def row_chain(a, b, weight, operation: str):
    if operation == 'silu_and_mul':
        gate, up = a.chunk(2, -1)
        b.copy_(torch.nn.functional.silu(gate) * up)
        return
    x = a + b if operation == 'fused_add_rms_norm' else a
    wide = x.float()
    normed = (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).bfloat16() * weight
    if operation == 'fused_add_rms_norm':
        b.copy_(x)
        a.copy_(normed)
    else:
        b.copy_(normed)


def inductor_rows():
    compiled = torch.compile(row_chain, dynamic=False)

    def run(rows, i):
        compiled(rows.input[i], rows.other[i], rows.weight[i], rows.operation)
    run.prepare = lambda rows: [run(rows, i) for i in (0, 0, 1)]
    return run


def check_rows(arms, make):
    results = []
    for name, run in arms:
        torch.manual_seed(1)
        rows = make()
        getattr(run, 'prepare', lambda rows: None)(rows)
        torch.manual_seed(1)
        rows = make()
        run(rows, 0)
        torch.cuda.synchronize()
        results.append((name, rows.other[0].float(), rows.input[0].float()))
    for name, *found in results[1:]:
        for a, b in zip(found, results[0][1:]):
            if not ((a - b).norm() / b.norm()).item() < 0.01:
                sys.exit(f'{name}: its result is off')


# ---- measuring ----

class Driver:
    """Graphs by the driver's own calls, captured on one stream: from the fourth capture by torch.cuda.graph in a process on, each launch of
    any graph takes 0.2 to 0.4 us longer."""

    def __init__(self):
        self.library, self.stream = ctypes.CDLL('libcuda.so.1'), torch.cuda.Stream()

    def call(self, function, *arguments):
        error = getattr(self.library, function)(*arguments)
        if error:
            sys.exit(f'{function}: CUDA error {error}')

    def capture(self, launches):
        """What launches() launches, as something to launch again."""
        stream, graph, executable, relaxed = pointer(self.stream.cuda_stream), pointer(), pointer(), 2
        with torch.cuda.stream(self.stream):
            self.call('cuStreamBeginCapture_v2', stream, relaxed)
            launches()
            self.call('cuStreamEndCapture', stream, ctypes.byref(graph))
        self.call('cuGraphInstantiateWithFlags', ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        self.call('cuGraphDestroy', graph)
        return executable

    def replay(self, executable):
        self.call('cuGraphLaunch', executable, pointer(torch.cuda.current_stream().cuda_stream))

    def release(self, executable):
        self.call('cuGraphExecDestroy', executable)


class Torch:
    """Graphs as PyTorch makes them."""

    def capture(self, launches):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            launches()
        return graph

    def replay(self, graph):
        graph.replay()

    def release(self, graph):
        graph.reset()


class Meter:
    def __init__(self, graphs):
        self.graphs, self.flushed = graphs, torch.zeros(256 << 20, dtype=torch.uint8, device='cuda')
        self.start, self.end = torch.cuda.Event(True), torch.cuda.Event(True)

    def capture(self, run, sets, hot):
        count = max(40, sets.count)

        def launches():
            for i in range(count):
                run(sets, 0 if hot else i % sets.count)
        return self.graphs.capture(launches), count

    def replay(self, graph, count, hot):
        half = self.flushed.numel() // 2
        if not hot:
            self.flushed[:half].copy_(self.flushed[half:])
        self.start.record()
        self.graphs.replay(graph)
        self.end.record()
        self.end.synchronize()
        return self.start.elapsed_time(self.end) * 1000 / count

    def measure(self, arms, sets):
        """For each arm its sorted times, cold and hot."""
        captured = []
        for _, run, _ in arms:
            getattr(run, 'prepare', lambda sets: run(sets, 0))(sets)
            torch.cuda.synchronize()
            captured.append([self.capture(run, sets, hot) for hot in (0, 1)])
        times = [[[], []] for _ in arms]
        for round_ in range(-2, ROUNDS):
            for hot in (0, 1):
                for arm, pair in enumerate(captured):
                    time = self.replay(*pair[hot], hot)
                    if round_ >= 0:
                        times[arm][hot].append(time)
        for pair in captured:
            for graph, _ in pair:
                self.graphs.release(graph)
        return [[sorted(t) for t in pair] for pair in times]


def check(arms, shape):
    """Every arm does the same work: the caches agree to what the arms' own rounding allows."""
    results = []
    for name, run, _ in arms:
        torch.manual_seed(1)
        sets = Sets(shape)
        run(sets, 0)
        torch.cuda.synchronize()
        rows = sets.cache.flatten(0, 1)[sets.slots[0]]
        rows = rows.view(torch.float8_e4m3fn).float() if shape.fp8 else rows.float()
        results.append((name, rows, sets.query[0].float()))
    for name, rows, query in results[1:]:
        for what, a, b in (('cache', rows, results[0][1]), ('query', query, results[0][2])):
            error = ((a - b).norm() / b.norm()).item()
            if not error < 0.03:
                sys.exit(f'{name}: its {what} is off by {error:.3g}')


def copy_bandwidth():
    a, b = (torch.empty(2 << 30, dtype=torch.uint8, device='cuda').fill_(k) for k in (1, 2))
    start, end, best = torch.cuda.Event(True), torch.cuda.Event(True), 1e9
    for _ in range(10):
        start.record()
        b.copy_(a)
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end))
    return 2 * a.numel() / best * 1000


class Report:
    def __init__(self, bandwidth, first):
        self.bandwidth, self.lines = bandwidth, [first]

    def print(self, label, names, sizes, times):
        cells = []
        for name, size, pair in zip(names, sizes, times):
            share = size / statistics.median(pair[0]) * 1e6 / self.bandwidth
            cells.append(f'{name} {statistics.median(pair[0]):.2f} / {statistics.median(pair[1]):.2f} ({share:.0%})')
            for hot, t in zip(('cold', 'hot'), pair):
                self.lines.append(dict(shape=label, arm=name, **{hot: statistics.median(t)}, p10=t[len(t) // 10],
                                       p90=t[-1 - len(t) // 10], bytes=size))
        print(f'{label:22}', '; '.join(cells), flush=True)


def fused_shapes(o, regraft, peer, meter, report, tokens):
    shapes = [Shape(True, h, 1, fp8, t) for fp8 in (False, True) for h in ((16,) if o.quick else (16, 64, 128)) for t in tokens]
    shapes += [Shape(False, h, k, False, t) for h, k in ((32, 8), (8, 1)) for t in tokens]
    for shape in shapes:
        arms = [('ours', ours(regraft, CACHE_ONLY), False), ('ours, key in place', ours(regraft, IN_PLACE), True),
                ('ours, constants overlap', ours(regraft, CACHE_ONLY, 1), False)]
        if o.vllm:
            arms += [('vLLM fused', vllm_fused, True)] if shape.latent else []
            arms += [('vLLM chain', vllm_chain, True)]
        if peer and not shape.fp8:
            arms += [('FlashInfer', flashinfer(peer), True)]
        if o.inductor and not shape.fp8:
            torch._dynamo.reset()
            arms += [('Inductor', inductor(), not shape.latent)]
        if shape.tokens in (1, 1024):
            check(arms, shape)
        sets = Sets(shape)
        times = meter.measure(arms, sets)
        label = f"{'latent' if shape.latent else 'grouped'} {shape.heads}/{shape.key_heads} {'fp8' if shape.fp8 else 'bf16'} {shape.tokens}"
        report.print(label, [name for name, *_ in arms], [shape.bytes(written) for *_, written in arms], times)
        del sets


def other_operations(o, regraft, meter, report, tokens):
    """Caches alone, and norms before the rotation."""
    for t in tokens:
        for label, shape, mine, vllm in (('latent_cache', Shape(True, 1, 1, False, t), ours_cache_alone, vllm_cache_alone),
                                         ('cache 8', Shape(False, 1, 8, False, t), ours_cache_alone, vllm_cache_alone),
                                         ('norm_rope_cache 32/8', Shape(False, 32, 8, False, t), ours_normed, vllm_normed)):
            arms = [('ours', mine(regraft), 0), ('ours, constants overlap', mine(regraft, 1), 0)]
            arms += [('vLLM', vllm, 0)] if o.vllm else []
            size = shape.bytes(False) - (0 if vllm is vllm_normed else t * (4 * shape.heads * shape.size + 2 * shape.size + 8))
            if t == tokens[-1] and vllm is vllm_normed:
                check(arms, shape)
            times = meter.measure(arms, Sets(shape))
            report.print(f'{label} {t}', [name for name, *_ in arms], [size] * len(arms), times)


def row_operations(o, regraft, meter, report, tokens):
    for operation, size in (('rms_norm', 4096), ('rms_norm', 7168), ('fused_add_rms_norm', 4096), ('fused_add_rms_norm', 7168),
                            ('silu_and_mul', 14336)):
        for t in tokens:
            arms = [('ours', ours_rows(regraft)), ('ours, constants overlap', ours_rows(regraft, 1))]
            arms += [('vLLM', vllm_rows)] if o.vllm else []
            if o.inductor:
                torch._dynamo.reset()
                arms += [('Inductor', inductor_rows())]
            check_rows(arms, lambda: Rows(operation, size, t))
            rows = Rows(operation, size, t)
            times = meter.measure([(name, run, 0) for name, run in arms], rows)
            report.print(f'{operation} {size} {t}', [name for name, _ in arms], [rows.bytes] * len(arms), times)


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument('library')
    p.add_argument('--vllm')
    p.add_argument('--flashinfer')
    p.add_argument('--inductor', action='store_true')
    p.add_argument('--only', choices=('fused', 'others', 'rows'))
    p.add_argument('--torch-graphs', action='store_true')
    p.add_argument('--json')
    p.add_argument('--quick', action='store_true')
    o = p.parse_args()
    regraft = Regraft(o.library)
    if o.vllm:
        torch.ops.load_library(o.vllm)
    peer = ctypes.CDLL(o.flashinfer) if o.flashinfer else None
    meter = Meter(Torch() if o.torch_graphs else Driver())
    bandwidth = copy_bandwidth()
    report = Report(bandwidth, dict(machine=regraft.name(), torch=torch.__version__, copy_bandwidth=bandwidth))
    print(f'{regraft.name()}; PyTorch {torch.__version__}; a copy moves {bandwidth / 1e12:.2f} TB/s')
    print('us a launch, medians, cold / hot; in brackets the share of copy bandwidth, cold')
    tokens = (8, 1024) if o.quick else (1, 8, 64, 256, 1024, 4096)
    try:
        if o.only in (None, 'fused'):
            fused_shapes(o, regraft, peer, meter, report, tokens)
        if o.only in (None, 'others'):
            other_operations(o, regraft, meter, report, tokens)
        if o.only in (None, 'rows'):
            row_operations(o, regraft, meter, report, tokens)
    finally:
        if o.json:
            with open(o.json, 'w') as f:
                f.writelines(json.dumps(line) + '\n' for line in report.lines)


if __name__ == '__main__':
    main()
