"""The iterative peer of `ptyfuse refine`: ptychi (pty-chi, Argonne) on a scan file, LSQML unless told otherwise.

  python perf/peers/refine_ptychi.py SCAN.h5 -o OBJECT.h5 --sweeps 20 [--probe SCAN.h5:DATASET] [--modes 3]

One JSON line: R of section 0.13 before and after, from ptychi's own forward model; seconds of the sweeps alone and frames a
second; versions. OBJECT.h5 is what `ptyfuse evaluate` compares: object, weight, origin_px, probe. ptychi's defaults stand but
for what is given here: a flat start, the probe scaled to the mean counts, no frames left out.
"""
import argparse
import json
import os
import time
from importlib.metadata import version

import h5py
import numpy as np
import torch

import ptychi.api as api
from ptychi.api.task import PtychographyTask
from ptychi.utils import orthogonalize_initial_probe


def options():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("scan")
    a.add_argument("-o", "--output", required=True)
    a.add_argument("--probe", default="", metavar="FILE[:DATASET]")
    a.add_argument("--sweeps", type=int, default=20)
    a.add_argument("--modes", type=int, default=1)
    a.add_argument("--batch", type=int, default=16)
    a.add_argument("--batching", choices=["random", "compact", "uniform"], default="random")
    a.add_argument("--momentum", type=float, default=0, help="momentum_acceleration_gain")
    a.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a.add_argument("--seed", type=int, default=0)
    return a.parse_args()


def read_probe(name, scan):
    path, _, dataset = (name or scan).partition(":")
    with h5py.File(path) as f:
        probe = f[dataset or "probe"][()]
    return (probe if probe.ndim == 3 else probe[None]).astype(np.complex64)


def main():
    o = options()
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    np.random.seed(o.seed)
    with h5py.File(o.scan) as f:
        domain, dc = f["diffraction"].attrs["domain"], f["diffraction"].attrs["dc"]
        if f["positions_px"].attrs["origin"] != "corner" or domain != "counts" or dc != "centre":
            raise SystemExit(f"{o.scan}: expected counts with the zero frequency in the centre and positions of corners")
        counts = f["diffraction"][()].astype(np.float32)
        corner = f["positions_px"][()]
    frames, side = counts.shape[0], counts.shape[-1]
    probe = read_probe(o.probe, o.scan)
    # its transform is not orthonormal: the mean counts are side^2 times a flat object's share
    probe *= np.sqrt(counts.sum((1, 2)).mean() / np.sum(np.abs(probe) ** 2)) / side
    if o.modes > len(probe):  # what its tutorials do: empty modes, then its own start for them
        empty = np.zeros((o.modes - len(probe), side, side), np.complex64)
        wide = torch.as_tensor(np.concatenate([probe, empty])[None])
        probe = orthogonalize_initial_probe(wide, secondary_mode_energy=0.02)[0].numpy().astype(np.complex64)
    origin = np.floor(corner.min(0)).astype(int) - 1
    extent = np.ceil(corner.max(0)).astype(int) - origin + side + 2

    s = api.LSQMLOptions()
    s.object_options.determine_position_origin_coords_by = api.ObjectPosOriginCoordsMethods.SPECIFIED
    s.object_options.position_origin_coords = np.full(2, (side - 1) / 2)
    r = s.reconstructor_options
    r.num_epochs, r.batch_size, r.default_device = o.sweeps, o.batch, api.Devices.CPU
    r.batching_mode = api.BatchingModes(o.batching)
    r.momentum_acceleration_gain = o.momentum
    r.random_seed = o.seed
    r.displayed_loss_function = None
    task = PtychographyTask(s, diffraction_data=counts, object_data=np.ones((1, *extent), np.complex64),
                            probe_data=probe[None], probe_position_y_px=corner[:, 0] - origin[0],
                            probe_position_x_px=corner[:, 1] - origin[1])

    @torch.no_grad()
    def residual():
        apart = total = 0.0
        for some in torch.arange(frames).split(64):
            modelled = task.reconstructor.forward_model(some).cpu().numpy().astype(np.float64)
            measured = np.sqrt(np.fft.ifftshift(counts[some.numpy()], axes=(1, 2)).astype(np.float64))
            apart += np.abs(np.sqrt(modelled) - measured).sum()
            total += measured.sum()
        return apart / total

    before = residual()
    start = time.perf_counter()
    task.run(o.sweeps)
    seconds = time.perf_counter() - start
    after = residual()

    found = task.get_data_to_cpu("object", as_numpy=True)[0].astype(np.complex64)
    modes = task.get_data_to_cpu("probe", as_numpy=True)[0].astype(np.complex64)
    weight = np.zeros(found.shape, np.float32)
    for y, x in np.round(corner - origin).astype(int):
        weight[y:y + side, x:x + side] += (np.abs(modes) ** 2).sum(0)
    with h5py.File(o.output, "w") as f:
        f.attrs["format"], f.attrs["format_version"] = "ptyfuse-reconstruction", 1
        f["object"], f["weight"], f["probe"] = found, weight, modes
        f["object"].attrs["origin_px"] = origin
        f["residual"] = np.array([before, after])
    print(json.dumps({"sweeps": o.sweeps, "modes": len(modes), "R_before": before, "R": after, "seconds": seconds,
                      "frames_per_s": frames * o.sweeps / seconds, "threads": o.threads,
                      "ptychi": version("ptychi"), "torch": torch.__version__}))


if __name__ == "__main__":
    main()
