"""Speed of the fused kernel against what a user writes today and against the roofline, and of what follows it."""

import json
import math
import os
import subprocess
import sys
import time
from itertools import pairwise

import numpy as np
import torch
from harness import peak_memory, run
from matplotlib.figure import Figure
from numba import njit

import pfmap
from pfmap import complexity, maps
from pfmap.kernels.counting import CountTable
from pfmap.kernels.lanes import LANES
from pfmap.kernels.normals import buffers, normal_groups
from pfmap.sampling.fused import FusedSampler
from pfmap.sampling.torch_engine import TorchSampler

NETS = {
    "7-40-40-1 ReLU": maps.MLP(7, (40, 40)),
    "5-32-1 ReLU": maps.MLP(5, (32,)),
    "7-[40]*10-1 tanh": maps.MLP(7, (40,) * 10, "tanh"),
    "10-100-100-1 ReLU": maps.MLP(10, (100, 100)),
}
TARGETS = {  # over the best baddbmm, over the best vmap, of the roofline
    "7-40-40-1 ReLU": (4.0, 10.0, 0.90),
    "5-32-1 ReLU": (6.5, 15.0, 0.50),
    "7-[40]*10-1 tanh": (3.0, 4.5, 0.70),
    "10-100-100-1 ReLU": (2.0, 6.0, 0.90),
}
BATCHES = (8, 16, 32, 64, 128, 256, 512, 1024)
MARKS = ("torch vmap", "torch baddbmm", "pfmap", "roofline")


def main(seed, rounds, n_count, n_end_to_end, n_verify):
    """Rates in networks a CPU second of one thread, interleaved in rounds and taken at their best."""
    torch.set_num_threads(1)
    measured = {"lanes": LANES, "networks": {}}
    for name, net in NETS.items():
        measured["networks"][name] = rates(net, seed, rounds, TARGETS[name])
        print(name, json.dumps(measured["networks"][name]), flush=True)
    standard = NETS["7-40-40-1 ReLU"]
    measured["counting"] = counting(standard, seed, n_count, measured["networks"]["7-40-40-1 ReLU"]["pfmap"])
    measured["two_threads_over_one"] = two_threads(standard, seed, n_count)
    measured["end_to_end"] = in_a_fresh_process("end_to_end", seed, n_end_to_end)
    in_a_fresh_process("start_up", seed, 1000)
    measured["second_start_seconds"] = in_a_fresh_process("start_up", seed, 1000)["wall_seconds"]
    numbers = {
        "networks_compared_with_logits": n_verify,
        "networks_that_differ": differing_networks(standard, seed, n_verify),
    }
    for name, value in (*measured.items(), *numbers.items()):
        print(name, json.dumps(value), flush=True)
    return picture(measured), numbers, measured


def best_rate(call, amount, rounds, seconds=0.3):
    """Amount a CPU second: the best of `rounds` stretches of at least `seconds`."""
    call()
    best = 0.0
    for _ in range(rounds):
        done, start = 0, time.process_time()
        while (spent := time.process_time() - start) < seconds:
            call()
            done += amount
        best = max(best, done / spent)
    return best


@njit(nogil=True)
def generate(state, buffer, times):
    """Fill the buffer again and again."""
    for _ in range(times):
        normal_groups(state, 32, buffer, 0)


def rates(net, seed, rounds, targets):
    """One row of the table: each rival at its best batch, all of them and both ceilings in turn, round after round."""
    count = max(64, int(2e10 / flops(net)) // 16)
    sampler, first = FusedSampler(net), iter(range(0, 1 << 60, count))
    contenders = {"pfmap": (lambda: sampler(seed, next(first), count), count), **ceilings()}
    batches = {}
    for rival, build in (("torch baddbmm", baddbmm), ("torch vmap", vmap)):
        fitting = [batch for batch in BATCHES if batch * max(net.hidden) * net.domain.n_points <= 1 << 26]
        calls = {batch: build(net, batch) for batch in fitting}
        by_batch = {batch: best_rate(call, batch, 2) for batch, call in calls.items()}
        batches[rival] = max(by_batch, key=by_batch.get)
        contenders[rival] = (calls[batches[rival]], batches[rival])
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, (call, amount) in contenders.items():
            best[name] = max(best[name], best_rate(call, amount, 1))
    roofline = 1.0 / (flops(net) / best["sgemm_flops"] + net.n_latents / best["normals"])
    return {
        **best,
        "roofline": roofline,
        "best_batches": batches,
        "over_baddbmm": best["pfmap"] / best["torch baddbmm"],
        "over_vmap": best["pfmap"] / best["torch vmap"],
        "of_roofline": best["pfmap"] / roofline,
        "targets": dict(zip(("over_baddbmm", "over_vmap", "of_roofline"), targets, strict=True)),
    }


def ceilings():
    """Flops of a large sgemm, and normals of the kernel's generator."""
    size, width, times = 1024, 2048, 1000
    a, b, out = (torch.randn(size, size) for _ in range(3))
    buffer, state = buffers(width)
    state[:] = np.arange(1, 65)
    generate(state, buffer, 1)
    return {
        "sgemm_flops": (lambda: torch.mm(a, b, out=out), 2 * size**3),
        "normals": (lambda: generate(state, buffer, times), times * width),
    }


def flops(net):
    """Operations of one network on all points: subset sums in the first layer, multiply and add in the others."""
    sizes = (*net.hidden, 1)
    dense = sum(2 * a * b for a, b in pairwise(sizes))
    return net.domain.n_points * (sizes[0] + dense)


def baddbmm(net, batch):
    """Batched products into buffers that are made once, normals drawn in place: the quickest plain torch we know."""
    layers = net.layers
    weights = [torch.empty(batch, layer.fan_out, layer.fan_in) for layer in layers]
    biases = [torch.empty(batch, layer.fan_out, 1) for layer in layers]
    outputs = [torch.empty(batch, layer.fan_out, net.domain.n_points) for layer in layers]
    x = torch.from_numpy(net.domain.points().astype(np.float32)).T.contiguous().expand(batch, -1, -1)
    activate = {"relu": torch.relu_, "tanh": torch.tanh_}[net.activation]

    def step():
        with torch.inference_mode():
            h = x
            for layer, w, b, out in zip(layers, weights, biases, outputs, strict=True):
                w.normal_(0.0, layer.weight_std)
                b.normal_(0.0, layer.bias_std)
                h = torch.baddbmm(b, w, h, out=out)
                if layer is not layers[-1]:
                    activate(h)
            return h[:, 0] > 0

    return step


def vmap(net, batch):
    """torch.func.vmap of functional_call over a stack of parameters."""
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[net.activation]
    modules = []
    for layer in net.layers:
        modules += [torch.nn.Linear(layer.fan_in, layer.fan_out), activation()]
    module = torch.nn.Sequential(*modules[:-1])
    stds = [std for layer in net.layers for std in (layer.weight_std, layer.bias_std)]
    shapes = {name: p.shape for name, p in module.named_parameters()}
    x = torch.from_numpy(net.domain.points().astype(np.float32))
    call = torch.func.vmap(lambda parameters: torch.func.functional_call(module, parameters, (x,))[:, 0])

    def step():
        with torch.inference_mode():
            parameters = {
                name: torch.randn(batch, *shape) * std for (name, shape), std in zip(shapes.items(), stds, strict=True)
            }
            return call(parameters) > 0

    return step


def counting(net, seed, n, sampling_rate):
    """Keys a CPU second into a table that is large enough and into one that grows, on keys of the network itself."""
    keys = FusedSampler(net)(seed, 0, n)
    table = CountTable(2)
    table.add(keys)
    _, counts = table.items()
    presized = best_rate(lambda: CountTable(2, expected=len(table)).add(keys), n, 5)
    growing = best_rate(lambda: CountTable(2).add(keys), n, 5)
    return {
        "keys": n,
        "seen_once": float(np.mean(counts == 1)),
        "keys_per_second": presized,
        "keys_per_second_growing": growing,
        "of_sampling_time": sampling_rate / growing,
    }


def two_threads(net, seed, n):
    """Wall time of one worker over that of two."""
    seconds = {1: math.inf, 2: math.inf}
    for _ in range(3):
        for workers in seconds:
            start = time.perf_counter()
            pfmap.draw(net, n, seed=seed, workers=workers, progress=False)
            seconds[workers] = min(seconds[workers], time.perf_counter() - start)
    return seconds[1] / seconds[2]


def in_a_fresh_process(what, seed, n):
    """Run one of the functions below in a Python of its own."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--only", what, str(seed), str(n)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {**json.loads(answer), "wall_seconds": time.perf_counter() - start}


def start_up(seed, n):
    """Imports, compiled code from the cache and a first draw."""
    pfmap.draw(NETS["7-40-40-1 ReLU"], n, seed=seed, progress=False)
    return {}


def end_to_end(seed, n):
    """Draw, count and C_LZ on one thread: CPU seconds of the whole, the share of sampling, and memory at its peak."""
    net = NETS["7-40-40-1 ReLU"]
    complexity.lempel_ziv(pfmap.draw(net, 1000, progress=False).tables)
    start = time.process_time()
    counts = pfmap.draw(net, n, seed=seed, workers=1, progress=False)
    drawn = time.process_time()
    complexity.lempel_ziv(counts.tables)
    end = time.process_time()
    sampler, piece = FusedSampler(net), 4096
    for first in range(0, n, 10 * piece):  # a tenth of the same networks, alone
        sampler(seed, first, min(piece, n - first))
    sampling = 10 * (time.process_time() - end)
    return {
        "samples": n,
        "functions": len(counts),
        "draw_seconds": drawn - start,
        "lempel_ziv_seconds": end - drawn,
        "sampling_share": sampling / (end - start),
        "peak_gib": peak_memory() / 2**30,
    }


def differing_networks(net, seed, n):
    """Networks whose table the kernel and the float64 logits of torch disagree on."""
    torch.set_num_threads(os.cpu_count())
    kernel, reference = FusedSampler(net), TorchSampler(net, "cpu")
    piece = 64
    return sum(
        int(np.any(kernel(seed, first, size) != reference(seed, first, size), axis=1).sum())
        for first in range(0, n, piece)
        for size in [min(piece, n - first)]
    )


def picture(measured):
    """Networks a second of each net, by each way."""
    figure = Figure(figsize=(6.8, 2.3), layout="constrained")
    for ax, (name, row) in zip(figure.subplots(1, 4), measured["networks"].items(), strict=True):
        values = [row[mark] for mark in MARKS]
        bars = ax.bar(range(4), values, color=["0.75", "0.55", "#0072b2", "white"], edgecolor="0.3", linewidth=0.6)
        bars[3].set_hatch("///")
        ax.bar_label(bars, [short(value) for value in values], fontsize=6)
        ax.set_xticks(range(4), MARKS, rotation=45, ha="right", rotation_mode="anchor", fontsize=7)
        ax.set_yticks([])
        ax.set_title(name, fontsize=8)
        ax.margins(y=0.12)
    figure.axes[0].set_ylabel("networks a CPU second,\none thread", fontsize=7)
    return figure


def short(value):
    """Three digits and k or M."""
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.3g} k"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        what, seed, n = sys.argv[2:]
        print(json.dumps({"end_to_end": end_to_end, "start_up": start_up}[what](int(seed), int(n))))
    else:
        run(
            main,
            quick={"rounds": 1, "n_count": 200_000, "n_end_to_end": 200_000, "n_verify": 10_000},
            full={"rounds": 5, "n_count": 2_000_000, "n_end_to_end": 10_000_000, "n_verify": 10_000_000},
        )
