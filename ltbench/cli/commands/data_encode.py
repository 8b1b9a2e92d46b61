"""``ltbench data encode``: features of a task's images before any run asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ltbench.cli.options import (
    data_root_option,
    device_option,
    dtype_option,
    go_offline,
    image_size_option,
    json_option,
    offline_option,
    stack,
    threads_option,
    weights_option,
)
from ltbench.cli.output import say

OPTIONS = [
    click.argument("address", metavar="TASK"),
    click.option("--backbone", required=True, metavar="NAME", help="Encoder."),
    weights_option,
    image_size_option,
    dtype_option,
    click.option("--regions", is_flag=True, help="Features of regions as well, for methods that take those."),
    click.option("--flipped", is_flag=True, help="Training images mirrored as well, for augment=flip."),
    click.option(
        "--shard",
        metavar="I/N",
        default="1/1",
        show_default=True,
        help="The I-th of N shares, each by a process of its own.",
    ),
    device_option,
    threads_option,
    data_root_option,
    offline_option,
    json_option,
]


@click.command()
@stack(OPTIONS)
def encode(
    address: str,
    backbone: str,
    regions: bool,
    flipped: bool,
    shard: str,
    data_root: Path | None,
    offline: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Encode a task's images before any run does.

    Runs find the features in the cache, with the same bits as if they had encoded the images themselves. With --shard
    several processes, or the jobs of an array, take a share each.
    """
    from ltbench.backbones.registry import find_backbone
    from ltbench.cli.output import print_json
    from ltbench.cli.reporting import reporter
    from ltbench.tasks.registry import resolve

    go_offline(offline)
    tasks = resolve(address)
    find_backbone(backbone)
    from ltbench.backbones.shards import Share

    share = Share.parse(shard)
    from ltbench.cli.commands import data
    from ltbench.engine.encode_task import EncodeRequest, encode_task

    says = reporter()
    kind: Any = "region" if regions else "global"
    found = [
        encode_task(
            EncodeRequest(task, backbone, kind=kind, flipped=flipped, share=share, **how),
            data.open_root(data_root, says),
            says,
        )
        for task in tasks
    ]
    rows, new = sum(each.share for each in found), sum(each.new for each in found)
    if as_json:
        print_json({"task": address, "backbone": backbone, "share": str(share), "rows": rows, "new": new})
    else:
        say(f"{address}, share {share}: {rows} rows, {new} of them encoded now, the others were there.")
