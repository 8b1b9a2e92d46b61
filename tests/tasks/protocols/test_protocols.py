"""Label protocols: what each may emit, that our masks are functions of their keys alone, and the published draws."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ltbench.tasks.errors import ProtocolError
from ltbench.tasks.protocols import Full, LabelProtocol, Partial, Plt, SeenOnly, SinglePositive, fingerprint, masks
from tests.conftest import SHARED

ANY: TypeAdapter[LabelProtocol] = TypeAdapter(LabelProtocol)
Labels = NDArray[np.int8]
quick = settings(max_examples=50, deadline=None)

complete_labels = st.tuples(st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda shape: hnp.arrays(np.int8, shape, elements=st.sampled_from([1, -1]))
)


def names(labels: Labels) -> tuple[list[str], list[str]]:
    return [f"img{i}" for i in range(labels.shape[0])], [f"class{c}" for c in range(labels.shape[1])]


def observe(protocol: Partial | SinglePositive | Plt | Full, labels: Labels, seed: int = 0) -> Labels:
    return protocol.apply(labels, *names(labels), "toys", seed)


def fixed_labels() -> Labels:
    """40 x 6 labels that do not depend on any generator."""
    cells = [hashlib.sha256(f"{i},{c}".encode()).digest()[0] < 80 for i in range(40) for c in range(6)]
    return np.where(np.array(cells).reshape(40, 6), 1, -1).astype(np.int8)


def shared(path: str) -> Path:
    if not (SHARED / path).is_file():
        pytest.skip(f"reference file not found (../shared/{path})")
    return SHARED / path


# What a protocol may say ------------------------------------------------------------------------------------------


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


# Our masks are functions of (rule, namespace, seed, image id, class) ------------------------------------------------


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


# The published draws ------------------------------------------------------------------------------------------------


def test_plt_voc_is_the_reference_construction() -> None:
    facts = json.loads(shared("reference/plt_voc_construction.json").read_text())
    ids = shared("data/plt_voc_ids_sorted.txt").read_text().split()
    with np.load(shared("data/voc2012_trainval_labels.npz")) as archive:
        row = {image: i for i, image in enumerate(archive["ids"].tolist())}
        labels = np.where(archive["labels"][[row[i] for i in ids]] == 1, 1, -1).astype(np.int8)
    assert (labels == 1).sum(axis=0).tolist() == facts["full_counts"]
    for rate in (0.3, 0.4, 0.5):
        observed = Plt(missing=rate).apply(labels, ids, facts["class_order"], "voc2012", 0)
        expected = facts[f"rate{rate}"]
        assert observed.sum(axis=0).tolist() == expected["counts"]
        assert int((observed == 0).all(axis=1).sum()) == expected["empty"]
        digest = hashlib.sha256(observed.astype(np.uint8).tobytes()).hexdigest()
        assert digest == expected["mask_uint8_rowmajor_sha256"]


def test_hcp_draw_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/hcp_partial_label_masks.npz")) as archive:
        labels = archive["toy_7x5__labels"].astype(np.int8)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            found = observe(Partial(share=share, draw="hcp"), labels)
            np.testing.assert_array_equal(found, archive[f"toy_7x5__p{share}"])


def test_hcp_draw_of_voc2007_has_the_published_hash() -> None:
    facts = json.loads(shared("golden/limited-labels/hcp_label_masks.json").read_text())["voc07_trainval"]
    for share, fact in facts.items():
        known = masks.hcp_partial(np.ones((5011, 20), dtype=np.int8), 0, float(share)) == 1
        assert int(known.sum()) == fact["known"]
        assert hashlib.sha256(np.packbits(known).tobytes()).hexdigest() == fact["sha256_packbits"]


def test_cole_draw_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/spml_observe_toy.npz")) as archive:
        labels = archive["labels_pm1"].astype(np.int8)
        one = observe(SinglePositive(draw="cole"), labels, seed=1200)
        np.testing.assert_array_equal(one, archive["observed_pos1_neg0"])
        more = masks.cole_observed(labels, 1200, positives=2, negatives=1)
        np.testing.assert_array_equal(more, archive["observed_pos2_neg1"])


def test_split_is_the_published_one() -> None:
    with np.load(shared("golden/limited-labels/spml_train_val_split.npz")) as archive:
        for name, n in (("coco", 82081), ("cub", 5994), ("toy", 23)):
            training, validation = masks.random_state_split(n)
            np.testing.assert_array_equal(validation, archive[f"{name}__val_idx"])
            np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(n))


# Descriptions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "policy"),
    [
        (Full(), "ignore"),
        (Partial(share=0.1), "ignore"),
        (Partial(share=0.5, draw="hcp"), "ignore"),
        (SinglePositive(), "assume-negative"),
        (Plt(missing=0.4), "assume-negative"),
        (SeenOnly(seen=("a", "b")), "ignore"),
    ],
)
def test_protocols_describe_themselves(protocol: LabelProtocol, policy: str) -> None:
    assert ANY.validate_json(ANY.dump_json(protocol)) == protocol
    assert protocol.unknown_policy == policy
    assert protocol.summary
    assert hash(protocol) == hash(protocol.model_copy())
    with pytest.raises(ValidationError):
        protocol.kind = "full"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "half"},
        {"kind": "partial"},
        {"kind": "partial", "share": 0},
        {"kind": "partial", "share": 1.1},
        {"kind": "plt", "missing": 1},
        {"kind": "plt", "missing": 0.4, "seed": 3},
        {"kind": "full", "share": 0.5},
        {"kind": "seen-only", "seen": []},
    ],
)
def test_wrong_descriptions_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python(wrong)


@pytest.mark.parametrize(
    ("labels", "ids", "classes", "message"),
    [
        (np.ones((2, 2), np.int8), ["a"], ["x", "y"], "for 1 ids"),
        (np.ones((2, 2), np.int8), ["a", "a"], ["x", "y"], "image id 'a' repeats"),
        (np.ones((2, 2), np.int8), ["a", "b"], ["x", "x"], "class name 'x' repeats"),
        (np.full((2, 2), 2, np.int8), ["a", "b"], ["x", "y"], "label 2 of image 'a', class 'x'"),
        (np.ones((2, 2), np.uint8), ["a", "b"], ["x", "y"], "signed-integer"),
        (np.ones(2, np.int8), ["a", "b"], ["x"], "signed-integer matrix"),
    ],
)
def test_bad_input(labels: Labels, ids: list[str], classes: list[str], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        Full().apply(labels, ids, classes, "toys", 0)


def test_a_namespace_must_not_hold_the_separator() -> None:
    with pytest.raises(ProtocolError, match="namespace"):
        Partial(share=0.5).apply(np.ones((1, 1), np.int8), ["a"], ["x"], "a|b", 0)


def test_describing_protocols_needs_no_numpy() -> None:
    code = "import sys, ltbench.tasks.protocols, ltbench.tasks.groups; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Fingerprints -------------------------------------------------------------------------------------------------------


def test_fingerprint_is_the_documented_bytes() -> None:
    labels = np.array([[1, -1, 0]], dtype=np.int8)
    assert fingerprint(labels) == hashlib.sha256(b"|i1 1x3\n\x01\xff\x00").hexdigest()
    assert fingerprint(["cat", "Käse"]) == hashlib.sha256("cat\nKäse".encode()).hexdigest()
    assert fingerprint(np.array(["cat", "dog"])) == fingerprint(("cat", "dog"))


def test_fingerprint_tells_apart_and_ignores_layout() -> None:
    a = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert len({fingerprint(x) for x in (a, a.T, a.reshape(3, 2), a.astype(np.int64), a + 1, a.ravel())}) == 6
    assert fingerprint(a) == fingerprint(np.asfortranarray(a)) == fingerprint(a.astype(">i4"))
    assert fingerprint(["a", "b"]) != fingerprint(["b", "a"])


@pytest.mark.parametrize("wrong", ["cat", [1, 2], ["a\nb"], np.array([object()])])
def test_fingerprint_refuses(wrong: object) -> None:
    with pytest.raises(ProtocolError):
        fingerprint(wrong)  # type: ignore[arg-type]
