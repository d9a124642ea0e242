"""What is told of a routing, as it is read."""

import io

from rich.console import Console

from ltjax.route import table


def row(name, few, macs):
    acc = {"many": 68.125, "medium": None, "few": few, "all": 48.0}
    return {"name": name, "acc": acc, "nll": 2.25, "ece": 0.125, "macs": macs}


FOUND = {
    "row": "swa/srepr/c-dirichlet",
    "experts": 3,
    "images": 10_000,
    "rows": [
        row("1 expert", 15.0, 49_480_000),
        row("2 experts", 16.0, 74_920_000),
        row("all 3 experts", 17.0, 5_770_000_000),
        row("routed", 16.994, 77_123_456.5),
    ],
    "stopped": [0.4099, 0.0947, 0.4954],
    "at_once": 100,
    "device": "cpu",
    "seconds": {"routed": 4.0, "whole": 8.0},
}


def test_table():
    shown = io.StringIO()
    Console(file=shown, width=80).print(table.table(FOUND))
    lines = [line.rstrip() for line in shown.getvalue().splitlines()]
    assert lines[0].strip() == "swa/srepr/c-dirichlet, 10,000 test images"
    cells = [line.split() for line in lines if " 2.250 " in line]
    figures = ["68.12", "-"]
    assert cells == [
        ["1", "expert", *figures, "15.00", "48.00", "2.250", "0.125", "49.48"],
        ["2", "experts", *figures, "16.00", "48.00", "2.250", "0.125", "74.92"],
        ["all", "3", "experts", *figures, "17.00", "48.00", "2.250", "0.125", "5770"],
        ["routed", *figures, "16.99", "48.00", "2.250", "0.125", "77.12"],
    ]
    assert "seen by 1, 2, 3 experts: 41.0, 9.5, 49.5 % of the images" in lines
    speed = "measured: 2,500 images/s routed, 1,250 images/s by all experts"
    assert speed in lines
    assert "(100 at once, compiled before, cpu)" in lines
