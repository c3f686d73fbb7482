"""The pictures of perf/compare and perf/cost_model, by matplotlib."""
import os

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

SIZE, DPI = (11, 6.2), 90
OURS, PEER = "#1f5fa8", "#c4511d"


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path + ".part", dpi=DPI, format="png")
    os.replace(path + ".part", path)
    plt.close(figure)


def roof(axes, copy_bytes_per_s, flop_per_s, low, high, label):
    ridge = flop_per_s / copy_bytes_per_s
    axes.plot([low, ridge, high], [low * copy_bytes_per_s, flop_per_s, flop_per_s], color="black", lw=1.4, label=label)


def points_under_a_roof(points, copy_bytes_per_s, flop_per_s, title, said, path):
    """points: (FLOP per byte, FLOP/s, name, colour); numbered from left to right, with their names beside the picture."""
    figure, (axes, key) = plt.subplots(1, 2, figsize=SIZE, width_ratios=(4, 1))
    points = sorted(points)
    low = points[0][0] / 2
    high = max(points[-1][0], flop_per_s / copy_bytes_per_s) * 3
    roof(axes, copy_bytes_per_s, flop_per_s, low, high, said)
    key.axis("off")
    for i, (x, y, name, colour) in enumerate(points):
        axes.plot(x, y, "o", color=colour, ms=4.5)
        right = i % 2 == 0
        axes.annotate(str(i + 1), (x, y), xytext=(5 if right else -5, -4), textcoords="offset points", fontsize=7, color=colour,
                      ha="left" if right else "right")
        key.text(0, 1 - i / max(34, len(points)), f"{i + 1:2} {name}", fontsize=7.5, color=colour, family="monospace", va="top")
    bottom = min(p[1] for p in points) / 2
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, max(max(p[1] for p in points), flop_per_s) * 2),
             xlabel="FLOP per byte, by the contract (each input read once, each output written once)", ylabel="FLOP/s, by the contract")
    figure.suptitle(title, fontsize=9.5)
    axes.legend(loc="lower right", fontsize=8)
    axes.grid(True, which="both", lw=0.2)
    save(figure, path)


def roofline(rows, path):
    top = [r for r in rows if r["kind"] == "ceilings"][-1]
    last = {r["case"]: r for r in rows if r["kind"] in ("ops", "model") and r["flop"] and r["bytes"]}
    points = [(r["flop"] / r["bytes"], r["flop"] / r["took_s"], r["case"], OURS if r["kind"] == "ops" else PEER)
              for r in last.values()]
    title = (f"ptyfuse on {top['device_name']}, {top['threads']} thread(s), {top['precision']}: N {top['N']}, gridsize {top['gridsize']}, "
             f"width {top['filters_scale']:g}, batch {top['batch']}; operations blue, the model's work red, medians ({top['clock']} seconds).\n"
             "Above the copy's line: served by caches. Above the flat line: Winograd does fewer FLOP than the contract counts.")
    said = f"measured: copy {top['copy_bytes_per_s'] / 1e9:.1f} GB/s, {top['flop_by']} {top['flop_per_s'] / 1e9:.0f} GFLOP/s"
    points_under_a_roof(points, top["copy_bytes_per_s"], top["flop_per_s"], title, said, path)


def scaling(rows, rate, path):
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), sharey=True)
    panels = (("scaling batch", "batch", "batch, groups"), ("scaling N", "N", "N, pixels (4 groups)"),
              ("scaling patterns", "patterns", "patterns of the scan"))
    for panel, (kind, key, label) in zip(axes, panels):
        some = [r for r in rows if r.get("kind") == kind and r["agrees"]]
        for case, marker in (("unet_forward", "o"), ("train_step", "s"), ("reconstruct", "^")):
            line = sorted((r for r in some if r["case"] == case), key=lambda r: r[key])
            for side, colour in (("ptyfuse", OURS), ("pytorch", PEER)):
                if line:
                    panel.plot([r[key] for r in line], [r[side][rate] for r in line], marker + "-", color=colour, ms=5,
                               lw=1.2, label=f"{side} {case}")
        panel.set(xscale="log", yscale="log", xlabel=label)
        panel.set_xticks(sorted({r[key] for r in some}), [str(v) for v in sorted({r[key] for r in some})])
        panel.minorticks_off()
        panel.grid(True, which="both", lw=0.2)
        panel.legend(fontsize=7)
    axes[0].set_ylabel("patterns/s, medians" if rate == "patterns_per_s" else "patterns a processor second, medians")
    r = next(r for r in rows if r.get("kind") == "scaling batch")
    load = max(v["clocks_after"]["load_average"] for v in rows if "clocks_after" in v)
    figure.suptitle(f"{r['device_name']}, {r['threads']} thread(s), {r['precision']}, gridsize {r['gridsize']}, width {r['filters_scale']:g}; "
                    f"PyTorch {r['versions']['torch']}; load average up to {load:.0f}", fontsize=10)
    save(figure, path)
