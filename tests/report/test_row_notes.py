"""Notes of methods and encoders stand on the board below the rows that they are about, and below no others."""

from __future__ import annotations

import pytest
from records import builders as b

from ltbench.plugin import BackboneSpec, MethodSpec, PluginError, RowNote
from ltbench.plugin.manager import extra_specs
from ltbench.records.record import RunRecord
from ltbench.report.board import build_board
from ltbench.report.markdown import render_markdown
from report.boards import notes, runs

WITHOUT = "reads it letter by letter"


def written(negative: str, backbone: str = "tiny-clip") -> list[RunRecord]:
    config = {"positive": "a photo of a {}", "negative": negative}
    return runs("dual-templates", 9.0, 9.0, 9.0, facts={"config": config}, backbone=b.backbone_facts(name=backbone))


def test_a_word_that_the_encoder_has_no_token_for_is_said_below_the_row() -> None:
    board = build_board([*written("a photo without a {}"), *runs("lmpt", 60.0, 61.0, 62.0)], "toy-lt", 1)
    (said,) = [note for note in board.sections[0].notes if WITHOUT in note]
    assert said.startswith("dual-templates: tiny-clip has no token for the word 'without'")
    assert said.endswith(".")
    assert said.split()[-1] in render_markdown(board)


@pytest.mark.parametrize(
    "records", [written("a photo of no {}"), written("a photo without a {}", "clip-rn50"), written("")]
)
def test_another_text_or_another_encoder_has_no_such_note(records: list[RunRecord]) -> None:
    assert WITHOUT not in notes(build_board(records, "toy-lt", 1))


def test_the_word_is_not_in_the_vocabulary_of_the_encoder() -> None:
    from ltbench.backbones.tiny_clip import TinyTokenizer

    assert TinyTokenizer().unknown_words("a photo without a star") == ("without",)


def test_notes_of_other_peoples_methods_and_encoders_hold_for_the_rows_that_they_name() -> None:
    note = RowNote(text="it saw the test images", backbones={"acme-clip"}, config={"images": "all"})
    finder = MethodSpec(name="acme-finder", target="acme:Finder", summary="finds", notes=(note,))
    whole = RowNote(text="it is small", methods={"acme-finder", "lmpt"})
    encoder = BackboneSpec(name="acme-clip", target="acme:open", summary="an encoder", prefix=True, notes=(whole,))
    acme = b.backbone_facts(name="acme-clip:L")

    def board(images: str, distribution: str = "acme") -> str:
        facts = {"config": {"images": images}, "distribution": distribution}
        rows = [*runs("acme-finder", 60.0, 61.0, facts=facts, backbone=acme), *runs("lmpt", 50.0, 51.0, backbone=acme)]
        return notes(build_board([*rows, *runs("coop", 40.0, 41.0, backbone=acme)], "toy-lt", 1))

    with extra_specs([finder, encoder], "acme"):
        found = board("all")
        assert "acme-finder, lmpt: it is small." in found
        assert "it saw the test images" not in found
        exact = RowNote(text=note.text, backbones={"acme-clip:L"}, config=note.config)
    finder = MethodSpec(name="acme-finder", target="acme:Finder", summary="finds", notes=(exact,))
    with extra_specs([finder, encoder], "acme"):
        assert "acme-finder: it saw the test images." in board("all")
        assert "it saw the test images" not in board("few")
        # The name alone does not make it that method.
        assert "it saw the test images" not in board("all", "somebody-else")
    assert "it is small" not in board("all")


@pytest.mark.parametrize("text", ["", "  ", "it ends.", "two\nlines"])
def test_a_note_is_one_line_without_its_full_stop(text: str) -> None:
    with pytest.raises(PluginError, match="give one line of text without its full stop"):
        RowNote(text=text)


def test_local_code_is_said_below_its_row() -> None:
    facts = {"distribution": "local code", "version": "3f2a9c1b2d4e"}
    rows = [*runs("local.my-adapter", 60.0, 61.0, facts=facts), *runs("lmpt", 50.0, 51.0)]
    assert "local.my-adapter: local code, of a file that no distribution holds" in notes(build_board(rows, "toy-lt", 1))
