"""What PyTorch's work must cost on a GPU, counted without one: leaf operations, the bytes they read and write, the FLOP of products.

  for case in unet_forward physics train_step; do for batch in 2 4; do
    ./build/ptyfuse bench --case $case --batch $batch --device cpu --record ${case}_$batch.h5; done; done
  python perf/peers/count_torch.py *.h5 >perf/torch_counts.jsonl      (perf/cost_model reads it: bytes and FLOP are linear in the batch)

Does the work of each record once on the CPU, in float32 and in bf16 (autocast), eager and in layout channels_last, as bench_torch does,
and looks at every ATen operation that reaches a device: not at views and bare allocations. An operation's bytes are its
tensors' own, each argument read once, each result written once, what it changes in place both; its FLOP those of torch's own
counter (convolutions, matrix products). What cuDNN adds (workspaces, second kernels of one operation) is not in it: a floor.
"""
import argparse
import json
import types

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

import bench_torch

# They reserve memory, or rename it.
NO_WORK = {"aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided", "aten::_unsafe_view",
           "aten::lift_fresh", "aten::is_same_size"}


def own_bytes(tensor):
    """Broadcast axes (stride 0) hold nothing of their own."""
    elements = 1
    for size, stride in zip(tensor.shape, tensor.stride()):
        elements *= size if stride or not size else 1
    return elements * tensor.element_size()


def tensors(values):
    return [v for v in tree_leaves(values) if isinstance(v, torch.Tensor)]


class Counter(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.ops = self.bytes = self.flop = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = function(*args, **kwargs)
        if function.is_view or function._schema.name in NO_WORK:
            return out
        self.ops += 1
        read = tensors((args, kwargs))
        changed = []
        for at, argument in enumerate(function._schema.arguments):
            if argument.is_write:
                changed += tensors(args[at] if at < len(args) else kwargs.get(argument.name))
        # Results that are arguments changed in place are among these already.
        known = {t.data_ptr() for t in changed}
        self.bytes += sum(map(own_bytes, read + changed + [t for t in tensors(out) if t.data_ptr() not in known]))
        count = flop_registry.get(function._overloadpacket)
        self.flop += count(*args, **kwargs, out_val=out) if count else 0
        return out


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("records", nargs="+", metavar="RECORD.h5")
    o = a.parse_args()
    for path in o.records:
        for precision in ("fp32", "bf16"):
            peer = bench_torch.Peer(types.SimpleNamespace(device="cpu", dtype=precision, threads=1, tf32=False, compile=""))
            task, record = peer.task(path, "channels_last")
            task.run()
            with Counter() as counted:
                task.run()
            print(json.dumps({**{k: record.config[k] for k in ("case", "N", "gridsize", "filters_scale", "batch")},
                              "precision": precision, "ops": counted.ops, "bytes": counted.bytes, "flop": counted.flop,
                              "torch": torch.__version__}), flush=True)


if __name__ == "__main__":
    main()
