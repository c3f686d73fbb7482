"""What perf/compare measures with: ptyfuse and its PyTorch peer, one after the other on the same records."""
import json
import os
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEER = os.path.join(HERE, "peers/bench_torch.py")
CASES = ("unet_forward", "unet_backward", "physics", "train_step", "reconstruct", "reconstruct_crop", "stitch", "stitch_crop",
         "load", "load_compressed")

# How near the results must be, as relative L2. The gradient of a network of ReLUs and max-pools jumps where rounding takes
# a sum across a kink: PyTorch's own two memory layouts differ by up to 6e-3 there. Adam's first step follows the gradient's
# signs, which turn round where it is small (in bf16 a tenth of them: .56 to .74 apart), but its length does not depend on them:
# no step is 1 away in both, a tenth of one .9, one the wrong way 2 in `update`.
NEAR = {"fp32": {"gradient": 2e-2, "update": 0.25, "update_length": 1e-2, "grad_amplitude": 1e-2, "grad_phase": 1e-2, None: 1e-4},
        "bf16": {"gradient": 3e-1, "update": 0.85, "update_length": 1e-2, "grad_amplitude": 1e-2, "grad_phase": 1e-2, None: 3e-2}}


class Failed(Exception):
    """One line for a person."""


def end_on_sigterm():
    """A SIGTERM ends the script as Ctrl-C does: by an exception, on whose way subprocess.run kills what it waits for."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def positive(text):
    """A whole number of at least 1: a type for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


positive.__name__ = "number (1 or more)"    # as argparse names it


def check_output(path):
    """Failed: the file cannot be written. To be asked before long work; an existing file stays as it is."""
    existed = os.path.exists(path)
    try:
        with open(path, "a"):
            pass
    except OSError as e:
        raise Failed(f"{path} cannot be written: {e.strerror}") from e
    if not existed:
        os.remove(path)


class Ours:
    def __init__(self, binary, settings):
        self.binary, self.s = binary, settings
        if not os.path.exists(binary):
            raise Failed(f"{binary} is not there; ./bin/build makes it, --ptyfuse names another")

    def command(self, case, *more):
        s = self.s
        return [self.binary, "bench", "--case", case, "--N", str(s["N"]), "--gridsize", str(s["gridsize"]),
                "--filters-scale", str(s["filters_scale"]), "--batch", str(s["batch"]), "--patterns", str(s["patterns"]),
                "--threads", str(s["threads"]), "--precision", s["precision"], "--device", s["device"], "--seed", str(s["seed"]),
                "--quiet", *map(str, more)]

    def run(self, command):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:] or done.returncode}")
        return done.stdout

    def record(self, case, path):
        self.run(self.command(case, "--record", path, "--force"))

    def time(self, case, warm_up, repeats):
        return json.loads(self.run(self.command(case, "--warm-up", warm_up, "--repeats", repeats)))

    def suite(self, name, repeats):
        command = self.command("", "--suite", name, "--warm-up", 1, "--repeats", repeats)
        return [json.loads(line) for line in self.run(command).splitlines()]


class Peer:
    """A process of PyTorch that waits for requests, so that its start and its imports are in no figure."""

    def __init__(self, settings, compile_modes, python=sys.executable, **process):
        s = settings
        self.process = subprocess.Popen(
            [python, PEER, "--serve", "--device", s["device"], "--dtype", s["precision"], "--threads", str(s["threads"]),
             "--compile", compile_modes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=os.path.join(HERE, "peers"),
            **process)
        try:
            self.about = self.ask(do="hello")
        except BaseException:
            self.close()
            raise

    def ask(self, **request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass    # it has ended, as its answer says
        line = self.line()
        if not line:
            raise Failed("the PyTorch peer ended; its message stands above (torch, numpy, scipy, h5py and scikit-image are needed)")
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def line(self):
        return self.process.stdout.readline()

    def close(self):
        """It ends by itself where no request comes any more; in the midst of one it is killed."""
        try:
            self.process.communicate(timeout=5)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self.process.kill()
            self.process.wait()


def clocks(device):
    """What the machine tells of its clocks and its load."""
    told = {"load_average": os.getloadavg()[0]}
    with open("/proc/cpuinfo") as f:
        mhz = [float(line.split(":")[1]) for line in f if line.startswith("cpu MHz")]
    if mhz:
        told["cpu_mhz"] = statistics.mean(mhz)
    if device.startswith("cuda"):
        query = ["nvidia-smi", "--query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw,driver_version", "--format=csv,noheader"]
        told["gpu"] = subprocess.run(query, capture_output=True, text=True).stdout.strip()
    return told


def verdict(agreement, precision):
    """Whether every kind of result came near enough; NaN did not."""
    near = NEAR[precision]
    return all(error <= near.get(kind, near[None]) for kind, error in agreement.items())


def apart(agreement):
    """What came how near, for a row without a figure."""
    return ", ".join(f"{kind} {error:.1e}" for kind, error in agreement.items())


def repeats_for(seconds, once):
    return max(1, min(50, int(seconds / max(once, 1e-6))))


def choose(peer, record, variants, precision, say):
    """The quickest of these variants of the peer that agrees, by the better of two warm runs each, and what each gave. One that
    does not agree is chosen where none does; None where none ran."""
    best, tried = None, {}
    for variant in variants:
        try:
            one = peer.ask(do="compare", record=record, variant=variant)     # which warms it up, too
            one["seconds"] = min(peer.ask(do="time", record=record, variant=variant, warm_up=0, repeats=2)["times"])
        except Failed as e:
            say(f"  {record}, {variant}: {e}")
            tried[variant] = {"error": str(e)}
            continue
        one.update(variant=variant, agrees=verdict(one["agreement"], precision))
        tried[variant] = one
        if best is None or (one["agrees"], -one["seconds"]) > (best["agrees"], -best["seconds"]):
            best = one
    return best, tried


def measure(ours, peer, case, folder, rounds, seconds, say, only=None):
    """One row: results compared, then both sides timed in turn, `rounds` times, about `seconds` a side and round; the ratios are
    the medians of the rounds' ratios. `only`: this variant of the peer; else the quickest that agrees."""
    s = ours.s
    record = os.path.join(folder, f"{case}.h5")
    ours.record(case, record)
    row = {"case": case, **s, "rounds": rounds, "versions": dict(peer.about["versions"]),
           "peer_device_name": peer.about["device_name"], "date": time.strftime("%Y-%m-%d %H:%M")}
    variants = [only] if only else peer.ask(do="variants", case=case)["variants"]
    best, row["variants"] = choose(peer, record, variants, s["precision"], say)
    if best is None:
        raise Failed(f"{case}: no variant of the peer ran")
    variant, calls, once = best["variant"], best["calls"], best["calls"] * best["seconds"]
    warm_up = 1 if once < seconds else 0
    row.update(variant=variant, agreement=best["agreement"], agrees=best["agrees"], worst=max(best["agreement"].values()),
               calls=calls, warm_up=1, peer_warm_up=3 + warm_up)    # of the peer: compared, and chosen by
    peer.ask(do="forget", record=record, but=variant)
    mine, theirs, ours_once = [], [], once / 2
    row["clocks_before"] = clocks(s["device"])
    for _ in range(rounds):
        line = ours.time(case, 1, repeats_for(seconds, ours_once))
        ours_once = calls * line["median_s"]
        mine.append((line["median_s"], line["min_s"], line["median_cpu_s"]))
        got = peer.ask(do="time", record=record, variant=variant, warm_up=warm_up, repeats=repeats_for(seconds, once))
        theirs.append((statistics.median(got["times"]), min(got["times"]), statistics.median(got["cpu_times"])))
    row["clocks_after"] = clocks(s["device"])
    peer.ask(do="forget", record=record)
    for end in ("", ".scan.h5"):
        if os.path.exists(record + end):
            os.remove(record + end)
    row["versions"]["ptyfuse"] = line["version"]
    row["device_name"] = line["device_name"]
    for side, figures in (("ptyfuse", mine), ("pytorch", theirs)):
        median = statistics.median(f[0] for f in figures)
        row[side] = {"median_s": median, "min_s": min(f[1] for f in figures), "patterns_per_s": line["patterns"] / median}
        cpu = statistics.median(f[2] for f in figures)
        row[side].update(median_cpu_s=cpu, patterns_per_cpu_s=line["patterns"] / cpu)
    row["ptyfuse"].update(flop=line["flop"], bytes=line["bytes"], flop_per_s=line["flop"] / row["ptyfuse"]["median_s"],
                          bytes_per_s=line["bytes"] / row["ptyfuse"]["median_s"])
    row["ratio"] = statistics.median(t[0] / o[0] for o, t in zip(mine, theirs))
    row["ratio_of_cpu"] = statistics.median(t[2] / o[2] for o, t in zip(mine, theirs))
    row["ratio_of_minima"] = row["pytorch"]["min_s"] / row["ptyfuse"]["min_s"]
    return row


def peak_memory(ours, peer_python, case, folder, say):
    """MiB at most of a process that does nothing but this case, on both sides."""
    s = ours.s
    child = subprocess.Popen(ours.command(case, "--warm-up", 0, "--repeats", 3), stdout=subprocess.DEVNULL)
    try:
        _, status, usage = os.wait4(child.pid, 0)
    except KeyboardInterrupt:
        child.kill()
        child.wait()
        raise
    if status:
        raise Failed("ptyfuse bench failed")
    rows = [{"case": case, **s, "kind": "memory", "side": "ptyfuse", "peak_mib": usage.ru_maxrss / 1024}]
    record = os.path.join(folder, "memory.h5")
    ours.record(case, record)
    for variant in ("channels_last", "contiguous"):
        text = ours.run([peer_python, PEER, record, "--only", variant, "--memory", "--repeats", "3", "--warm-up", "0", "--threads",
                         str(s["threads"]), "--device", s["device"], "--dtype", s["precision"]])
        rows.append({"case": case, **s, "kind": "memory", "side": f"pytorch {variant}", **json.loads(text.splitlines()[-1])})
    for r in rows:
        say(f"{r['side']:24} {r['peak_mib']:6.0f} MiB at most" +
            (f", of them {r['growth_mib']:.0f} since its imports" if "growth_mib" in r else ", the whole process"))
    return rows
