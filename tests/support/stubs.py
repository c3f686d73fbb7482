"""Stand-ins of the program and of the PyTorch peer for the tests of perf/compare and perf/gpu_check: they log what they are asked in
$LOG and answer as $ANSWERS says: {"ptyfuse": seconds of each measurement, variant: {"agreement": .., "times": of
each, or a list of its repeats}}."""
import stat

PROGRAM = """#!/usr/bin/env python3
import json, os, sys
command = sys.argv[1]
if command == "devices":
    print("cuda:0  a GPU")
elif command == "--version":
    print("ptyfuse 0")
elif command == "bench" and "--record" in sys.argv:
    open(sys.argv[sys.argv.index("--record") + 1], "w").close()
elif command == "bench":
    with open(os.environ["LOG"], "a+") as log:
        log.seek(0)
        asked = log.read().split().count("ptyfuse")
        log.write("ptyfuse ")
    seconds = json.loads(os.environ["ANSWERS"])["ptyfuse"]
    s = seconds[min(asked, len(seconds) - 1)]
    print(json.dumps({"median_s": s, "min_s": s, "median_cpu_s": s, "patterns": 64, "patterns_per_s": 64 / s, "flop": 1, "bytes": 1,
                      "version": "0", "device_name": "none"}))
"""

PEER = """
import json, os, sys
answers = json.loads(os.environ["ANSWERS"])
answers.pop("ptyfuse")
for line in sys.stdin:
    q = json.loads(line)
    one = answers.get(q.get("variant"), {})
    if q["do"] == "hello":
        answer = {"versions": {"torch": "0"}, "device_name": "none"}
    elif q["do"] == "variants":
        answer = {"variants": list(answers)}
    elif "error" in one:
        answer = {"error": one["error"]}
    elif q["do"] == "compare":
        answer = {"agreement": one["agreement"], "seconds": 1, "calls": 1}
    elif q["do"] == "time":
        with open(os.environ["LOG"], "a") as log:
            log.write(q["variant"] + " ")
        seconds = one["times"].pop(0)
        times = seconds if isinstance(seconds, list) else [seconds] * q["repeats"]
        answer = {"times": times, "cpu_times": times}
    else:
        answer = {}
    print(json.dumps(answer), flush=True)
"""


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
