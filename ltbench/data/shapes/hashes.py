"""sha256 of every part's pixels, labels and captions (``store.content_sha256``): version 1 of the data set."""

from __future__ import annotations

from typing import Final

PART_SHA256: Final[dict[str, dict[str, str]]] = {
    "train-lt": {
        "images": "65f310731d3a4f331b8e17d2b2209e5790650811a67461844f21a04ec60bb90a",
        "labels": "257fd871204a2c316aec06c1319de6550078e57835a235a5a8e1b3e976d88e4f",
        "captions": "b788f7c5185dafeef5cf6416cf08c5e4abb25c77c0afb8fb5e0f7a32ab3a8fb5",
    },
    "train-uniform": {
        "images": "027a694009860ae9a99990f4c1598f004792468c60f03fd2ef09833353971b4c",
        "labels": "5a1165b3a494777f7cb0f654b18089687774d35dbe227a2af1bb7df1eef65219",
        "captions": "b7832c0d8d60c2b3ccb484d043ee0e66e6c24dd22e4ab06ee120bc86c3146df6",
    },
    "val": {
        "images": "416bcc254ac1459034127f778b4cacd14dbc925411e3154033db3423a9c336f8",
        "labels": "ceeee5d1fb09674dac8a45e4af625076f377edcd7d6b8b2234b9c25c7a26ade7",
        "captions": "8d8fe6f5d5c12a9183585da0b8307da237f451ee80a25f2d51e34879f89e6552",
    },
    "test": {
        "images": "1af5f711fec198f091c246c1da7467592fd7d534439adf056654d648f48d8c60",
        "labels": "337455bb7fefc3ffe063993831cb2f490dec387a778a9e36be1a4ac9a8c96f01",
        "captions": "cf4ec72334a96635a214b61b63dc05c556317bb89e53d100aea99355c5c812b9",
    },
    "micro-train": {
        "images": "5c7d3cfdecb391c38e490ff792d4544fd660b8854c713d3638d119e157fdb749",
        "labels": "e1da59bc296ebadb1020244b8cd07c701b0f27f18a69d6723afba11798f9770d",
        "captions": "52b229381d2706becf133e67e4da50da95f8b5391fd096c2d9e7932ec2ec9809",
    },
    "micro-test": {
        "images": "84921a48d291aaee54d8c1f9b457fbe145b60ea5a7542e3a553e5bdb6d8d7b19",
        "labels": "a0b42a819d72c5bfe6b6eab5d6aca4f2e3e26275eaf26ac0f98a248d8aac4c59",
        "captions": "8b1fbb8074951140d48f3de730435fa270329c05b4317a86892a77be40cd172a",
    },
}
