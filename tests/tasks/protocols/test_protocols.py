"""Label protocols: what each may emit, and that our masks are functions of their keys alone."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ltbench.tasks.errors import ProtocolError
from ltbench.tasks.protocols import Full, Partial, Plt, SeenOnly, SinglePositive, fingerprint, masks
from tests.tasks.protocols.protocol_toys import Labels, names, observe

quick = settings(max_examples=50, deadline=None)
complete_labels = st.tuples(st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda shape: hnp.arrays(np.int8, shape, elements=st.sampled_from([1, -1]))
)


def fixed_labels() -> Labels:
    """40 x 6 labels that do not depend on any generator."""
    cells = [hashlib.sha256(f"{i},{c}".encode()).digest()[0] < 80 for i in range(40) for c in range(6)]
    return np.where(np.array(cells).reshape(40, 6), 1, -1).astype(np.int8)


@quick
@given(complete_labels, st.floats(0, 0.99), st.integers(0, 5))
def test_plt_and_single_positive_never_say_absent(labels: Labels, missing: float, seed: int) -> None:
    for protocol in (Plt(missing=missing), SinglePositive(), SinglePositive(draw="cole")):
        observed = observe(protocol, labels, seed)
        assert observed.dtype == np.int8
        assert observed.shape == labels.shape
        assert set(np.unique(observed)) <= {0, 1}
        assert (labels[observed == 1] == 1).all()
        # Every image that shows something keeps something.
        np.testing.assert_array_equal((observed == 1).any(axis=1), (labels == 1).any(axis=1))


@quick
@given(complete_labels, st.integers(0, 5))
def test_single_positive_keeps_exactly_one(labels: Labels, seed: int) -> None:
    for draw in ("hashed", "cole"):
        observed = observe(SinglePositive(draw=draw), labels, seed)
        np.testing.assert_array_equal((observed == 1).sum(axis=1), (labels == 1).any(axis=1))


@quick
@given(complete_labels, st.lists(st.floats(0.01, 1), min_size=2, max_size=4), st.integers(0, 5))
def test_partial_masks_are_nested_and_truthful(labels: Labels, shares: list[float], seed: int) -> None:
    for draw in ("hashed", "hcp"):
        before = np.zeros(labels.shape, dtype=bool)
        for share in sorted(shares):
            observed = observe(Partial(share=share, draw=draw), labels, seed)
            known = observed != 0
            assert (known | ~before).all()
            np.testing.assert_array_equal(observed[known], labels[known])
            before = known
        np.testing.assert_array_equal(observe(Partial(share=1, draw=draw), labels, seed), labels)


@quick
@given(complete_labels, st.integers(0, 99), st.integers(0, 3))
def test_plt_is_the_rule_written_out(labels: Labels, percent: int, seed: int) -> None:
    ids, classes = names(labels)
    key = {
        (i, c): int(hashlib.sha256(f"plt-mask-v1|toys|{seed}|{c}|{image}".encode()).hexdigest()[:16], 16)
        for i, image in enumerate(ids)
        for c in range(len(classes))
    }
    expected = (labels == 1).astype(np.int8)
    for c in range(len(classes)):
        ranked = sorted((key[i, c], ids[i], i) for i in range(len(ids)) if labels[i, c] == 1)
        for _, _, i in ranked[: (percent * len(ranked) + 50) // 100]:
            expected[i, c] = 0
    for i in range(len(ids)):
        dropped = [(key[i, c], -c) for c in range(len(classes)) if labels[i, c] == 1]
        if dropped and not expected[i].any():
            expected[i, -max(dropped)[1]] = 1
    np.testing.assert_array_equal(observe(Plt(missing=percent / 100), labels, seed), expected)


def test_full_and_seen_only() -> None:
    labels = fixed_labels()
    np.testing.assert_array_equal(observe(Full(), labels), labels)
    ids, classes = names(labels)
    protocol = SeenOnly(seen=("class4", "class1"))
    assert protocol.kept_columns(classes) == (1, 4)
    np.testing.assert_array_equal(protocol.apply(labels, ids, classes, "toys", 0), labels[:, [1, 4]])
    assert Full().kept_columns(classes) == (0, 1, 2, 3, 4, 5)
    with pytest.raises(ProtocolError, match="class9"):
        SeenOnly(seen=("class9",)).apply(labels, ids, classes, "toys", 0)


def test_observed_labels_are_a_new_array() -> None:
    labels = fixed_labels()
    before = labels.copy()
    for protocol in (Full(), Partial(share=0.5), SinglePositive(), Plt(missing=0.5)):
        observed = observe(protocol, labels)
        observed[:] = 7
        np.testing.assert_array_equal(labels, before)


def test_what_is_unknown_in_the_complete_labels_stays_unknown() -> None:
    labels = fixed_labels()
    labels[::3] = 0
    for protocol in (Full(), Partial(share=1), SinglePositive(), Plt(missing=0)):
        assert (observe(protocol, labels)[::3] == 0).all()


@quick
@given(st.permutations(range(40)), st.sets(st.integers(0, 39), min_size=1))
def test_neither_order_nor_company_of_rows_matters(order: list[int], some: set[int]) -> None:
    labels = fixed_labels()
    ids, classes = names(labels)
    for protocol in (Partial(share=0.4), SinglePositive(), Plt(missing=0.4)):
        whole = protocol.apply(labels, ids, classes, "toys", 1)
        shuffled = protocol.apply(labels[order], [ids[i] for i in order], classes, "toys", 1)
        np.testing.assert_array_equal(shuffled, whole[order])
        if not isinstance(protocol, Plt):  # its quota is a share of the rows that are there
            part = sorted(some)
            alone = protocol.apply(labels[part], [ids[i] for i in part], classes, "toys", 1)
            np.testing.assert_array_equal(alone, whole[part])


def test_neither_order_of_classes_nor_global_state_matters() -> None:
    labels = fixed_labels()
    ids, classes = names(labels)
    back = labels[:, ::-1], ids, classes[::-1], "toys", 1
    for protocol in (Partial(share=0.4), SinglePositive()):
        np.random.seed(0)
        whole = protocol.apply(labels, ids, classes, "toys", 1)
        np.random.seed(1)
        np.testing.assert_array_equal(protocol.apply(*back)[:, ::-1], whole)
    for protocol in (Partial(share=0.4, draw="hcp"), SinglePositive(draw="cole")):
        before = np.random.get_state()[1].copy()
        observe(protocol, labels)
        np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_rule_namespace_and_seed_each_change_the_mask() -> None:
    labels = fixed_labels()
    ids, classes = names(labels)
    for protocol in (Partial(share=0.5), SinglePositive(), Plt(missing=0.5)):
        found = [
            protocol.apply(labels, ids, classes, namespace, seed) for namespace, seed in (("a", 0), ("b", 0), ("a", 1))
        ]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            assert (found[i] != found[j]).any()
    keys = [masks.uniforms(rule, "a", 0, ids, classes) for rule in (masks.PARTIAL_RULE, masks.SINGLE_POSITIVE_RULE)]
    assert (keys[0] != keys[1]).all()


#: sha256 of the masks of ``fixed_labels``; a change here is a new version of every task that uses the rule.
GOLDEN = {
    "partial": "81ebd529e5eaffef527b3e08f261b6d22409636319b561d571be0759631d1a13",
    "single": "7ef7311645e44d154470343a3159329f9b6a1909ffc71620a47ed32b02fd693e",
    "plt": "34c6b19fa0e49587fbada96af952ae6dcaa3b3b4ffc52917337e303ca92ac9ce",
    "hcp": "2aa4b3c23fe72c0406999f7c7a4ac0e46a5fc6b1698e53a48504ac0c586050cc",
    "cole": "525a302e3d754dc000858e3b47aa0c4c115b06f2ad5f0af892eb2ce88a7fe69c",
}


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("partial", Partial(share=0.3)),
        ("single", SinglePositive()),
        ("plt", Plt(missing=0.4)),
        ("hcp", Partial(share=0.3, draw="hcp")),
        ("cole", SinglePositive(draw="cole")),
    ],
)
def test_masks_stay_what_they_are(name: str, protocol: Partial | SinglePositive | Plt) -> None:
    assert fingerprint(observe(protocol, fixed_labels(), seed=12)) == GOLDEN[name]


def test_uniforms_are_the_documented_hash_and_uniform() -> None:
    key = hashlib.sha256(b"rule|toys|3|img0|cat").digest()
    assert masks.uniforms("rule", "toys", 3, ["img0"], ["cat"])[0, 0] == (int.from_bytes(key[:8], "big") >> 11) / 2**53
    many = masks.uniforms("rule", "toys", 3, [str(i) for i in range(2000)], ["a", "b"])
    assert many.min() >= 0
    assert many.max() < 1
    assert np.histogram(many, bins=10, range=(0, 1))[0] == pytest.approx([400] * 10, abs=80)
