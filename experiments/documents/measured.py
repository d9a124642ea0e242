"""Tables of what was measured: generators of heads and rows, from a file's figures."""


def bench(figures):
    """What `bench` timed by turns."""
    yield "part", "ltjax", "other", "ratio", "quartiles"
    for pair in figures["detail"]["pairs"].values():
        what, sides = f"{pair['what'].rstrip('.')}, {pair['unit']}", pair["sides"]
        for name, ratio in pair["ratios"].items():
            yield (
                what,
                f"{sides['ltjax']['per_second']:,.0f}",
                f"{sides[name]['per_second']:,.0f} ({name})",
                f"{ratio['median']:.2f}",
                "{:.2f} to {:.2f}".format(*ratio["quartiles"]),
            )


def targets(figures):
    """What was aimed at on two CPU cores, and what `bench` measured."""
    detail = figures["detail"]

    def ratio(part, side):
        return detail["pairs"][part]["ratios"][side]["median"]

    train, infer = (ratio(part, "torch") for part in ("train_step", "inference"))
    passes = ratio("refresh", "11 forward passes")
    share = 100 * figures["swag_update_share_of_epoch"]
    slopes = [
        detail["growth"][f"{part} over M"]["slopes"]["temporary_bytes"]
        for part in ("refresh", "features")
    ]
    cold, warm = (detail["digits"][cache] for cache in ("cold", "warm"))
    first = warm["seconds_to_first_epoch"]
    aims = (
        ("a train step of at least 0.4 × PyTorch", f"{train:.2f}", train >= 0.4),
        ("inference at least 0.55 × PyTorch", f"{infer:.2f}", infer >= 0.55),
        ("a SWAG update below 1 % of an epoch", f"{share:.3f} %", share < 1),
        (
            "refreshing 1 + 10 sets in 11 plain training-mode passes plus 10 %",
            f"{1 / passes:.2f} of their time",
            passes >= 1 / 1.1,
        ),
        (
            "memory of M draws flat in M",
            " and ".join(f"{slope:.2f}" for slope in slopes),
            max(slopes) < 0.1,
        ),
        (
            "a run on the digits below 60 s, empty cache",
            f"{cold['seconds']:.0f} s",
            cold["seconds"] < 60,
        ),
        ("the same, warm cache", f"{warm['seconds']:.0f} s", warm["seconds"] < 60),
        (
            "15 s to the first training step, warm cache",
            f"{first:.1f} s to the end of its epoch",
            first < 15,
        ),
    )
    yield "target", "measured", "met"
    yield from ((aim, found, "yes" if met else "no") for aim, found, met in aims)


def first_calls(figures):
    """Seconds of first calls, which compile, and of later ones."""
    yield "part", "side", "first call, s", "later calls, s"
    for name, pair in figures["detail"]["pairs"].items():
        for side, times in pair["sides"].items():
            first, later = times["first_seconds"], times["median_seconds"]
            yield name, side, f"{first:.2f}", f"{later:.2f}"


def growth(figures):
    """The slopes of what `growth.py` measured, log over log."""
    names = ("seconds", "temporary_bytes", "output_bytes", "compile_seconds")
    heads = ("time", "temporary memory", "output memory", "compile time")
    yield "what over what", "sizes", *heads
    for name, axis in figures["detail"]["growth"].items():
        slopes = (axis["slopes"][quantity] for quantity in names)
        # Adding 0 takes the sign of a -0.
        cells = ("–" if s is None else f"{round(s, 2) + 0:.2f}" for s in slopes)
        yield name, ", ".join(f"{point['size']:,}" for point in axis["points"]), *cells


def peaks(figures):
    """Peak memory of whole processes."""
    yield "part", "libraries only", "ltjax", "torch"
    for name, peaks in figures["detail"]["peak_mebibytes"].items():
        yield name, *(f"{peaks[side]:,.0f}" for side in ("neither", "ltjax", "torch"))


def digits(figures):
    """Whole runs on the digits."""
    heads = ("compilation cache", "whole run, s", "to the first epoch's end, s")
    yield *heads, "peak memory, MiB"
    for name, run in figures["detail"]["digits"].items():
        seconds = (run[key] for key in ("seconds", "seconds_to_first_epoch"))
        cells = (f"{value:.1f}" for value in seconds)
        yield name, *cells, f"{run['peak_mebibytes']:,.0f}"


def scaling(figures):
    """What several devices came to."""
    heads = ("devices", "images each", "same order", "weights", "statistics", "loss")
    yield *heads, "s per step"
    for row in figures["rows"]:
        yield (
            f"{row['devices']}{', reversed' if row['control'] else ''}",
            row["images_per_device"],
            "yes" if row["same_order"] else "no",
            *(f"{row[part]:.1e}" for part in ("weights", "statistics", "loss")),
            f"{row['seconds_per_step']:.3f}",
        )


def saving(seconds_by_run):
    """What saving took of runs, {name: seconds by stage}."""
    yield "run", "all stages, s", "saving, s", "share"
    for name, seconds in seconds_by_run.items():
        total, saving = sum(seconds.values()), seconds["saving"]
        yield name, f"{total:,.0f}", f"{saving:.1f}", f"{100 * saving / total:.1f} %"


def checks(figures):
    """What it costs to look at every step."""
    yield "time with over without", "quartiles", "turns"
    quartiles = "{:.3f} to {:.3f}".format(*figures["quartiles"])
    yield f"{figures['ratio']:.3f}", quartiles, len(figures["seconds"]["plain"])


def promised(figures):
    """What an inspection said, and what the run took."""
    yield "images", "estimate, s", "run, s", "ratio"
    for row in figures["rows"]:
        told = row["estimate"]["seconds"]["total"]
        yield (
            f"{row['images']:,}",
            f"{told:.0f}",
            f"{row['seconds']:.0f}",
            f"{row['ratio']:.2f}",
        )


def tried(figures):
    """What each change came to, against the programs as they are."""
    figure = "quartiles", "images/s"
    yield "trial", "training", *figure, "features", *figure
    for row in figures["rows"]:
        cells = (
            cell
            for found in (row["train"], row["features"])
            for cell in (
                f"{found['median']:.2f}",
                "{:.2f} to {:.2f}".format(*found["quartiles"]),
                f"{found['images_per_second']:,.0f}",
            )
        )
        yield row["trial"], *cells


def frozen(figures):
    """How many times faster a step is than that of the whole network."""
    yield "trained", "times faster", "quartiles", "MiB of weights"
    yield "all", 1, "", f"{figures['bytes']['whole'] / 2**20:.1f}"
    for name, ratio in figures["ratios"].items():
        low, high = ratio["quartiles"]
        count = figures["bytes"][name] / 2**20
        yield name, f"{ratio['median']:.1f}", f"{low:.1f} to {high:.1f}", f"{count:.1f}"


def activations(figures):
    """What AGLU costs beside SiLU."""
    names = {"aglu": "AGLU", "written": "AGLU as its formula is written"}
    yield "value and gradients", "time over SiLU's", "quartiles", "turns"
    for name, ratio in figures["ratios"].items():
        quartiles = "{:.2f} to {:.2f}".format(*ratio["quartiles"])
        turns = len(figures["seconds"][name])
        yield names[name], f"{ratio['median']:.2f}", quartiles, turns


def faults(figures):
    """What was done to runs, and what came of it."""
    yield "what", "times"
    yield from (
        (f"killed in {name}", times)
        for name, times in figures["kills_by_stage"].items()
    )
    yield from figures["faults"].items()
    yield "all kills", figures["kills"]
    yield "of them within a save", figures["kills_in_a_save"]
    yield "runs that were finished", figures["runs"]
    yield "**differences**", len(figures["differences"])


def pipeline(figures):
    """What workers deliver."""
    yield "workers", "to the first batch, s", "images per second"
    for row in figures["rows"]:
        yield row["workers"], f"{row['first']:.1f}", f"{row['rate']:,.0f}"


def memory(figures):
    """Bytes per image of every stage, and GB of the whole sets."""
    sets = list(figures["settings"]["sets"])
    rows = {}
    for row in figures["rows"]:
        rows.setdefault((row["stage"], row["side"]), {})[row["set"]] = row
    sizes = (head for name in sets for head in (f"bytes an image, {name}", "GB"))
    yield "stage", "of the", *sizes, "fits"
    for place, of in rows.items():
        cells = (
            cell
            for name in sets
            for cell in (
                f"{max(round(of[name]['bytes_per_image']), 0):,}",
                f"{of[name]['bytes'] / 1e9:.2f}",
            )
        )
        fits = all(of[name]["fits"] for name in sets)
        yield *place, *cells, "yes" if fits else "no"


def whole_runs(figures):
    """What a run's own check of memory counts."""
    yield "set", "bank", "device, GB", "host, GB", "fits"
    for row in figures["whole_runs"]:
        bank = f"{row['bank']}, {row['bank_dtype']}"
        sides = (f"{row[side] / 1e9:.1f}" for side in ("device", "host"))
        yield row["set"], bank, *sides, "yes" if row["fits"] else "no"


def transported(figures):
    """What `bench --part transport` timed."""
    yield (
        "share of the mass",
        "solver",
        "seconds",
        "steps",
        "times Newton's",
        "quartiles",
    )
    for rho, found in figures["rho"].items():
        for name, seconds in found["seconds"].items():
            ratio = found["ratios"][name]
            middle = sorted(seconds)[len(seconds) // 2]
            yield (
                rho,
                _SOLVERS.get(name, name),
                f"{middle:.3f}",
                f"{found['steps'][name]:,}" if name in found["steps"] else "–",
                f"{ratio['median']:.1f}",
                "{:.1f} to {:.1f}".format(*ratio["quartiles"]),
            )


_SOLVERS = {
    "newton": "Newton, float32",
    "loop": "scaling in logarithms, float32",
    "kernel": "scaling of a kernel, NumPy, float64",
}
