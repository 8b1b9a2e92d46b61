"""Pictures as people have them: each looks as a viewer shows it, or is refused by name, never black or white."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltbench.data import decode as module
from ltbench.data.base import FileImages, ImageRows, content_of, load_reduced
from ltbench.data.decode import Undecodable, decode, looks_like_picture, max_pixels
from ltbench.plugin import UserError

RAMP = np.linspace(0, 1, 64 * 64).reshape(64, 64)


def deep(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("a.png", (RAMP * 65535).astype(np.uint16)),
        ("b.tif", (RAMP * 65535).astype(np.uint16)),
        ("c.tif", RAMP.astype(np.float32)),
        ("d.tif", (RAMP * 255).astype(np.float32)),
        ("e.tif", (RAMP * 65535).astype(np.int32)),
    ],
)
def test_deep_pictures_keep_all_levels(tmp_path: Path, name: str, values: np.ndarray) -> None:
    read = decode(deep(tmp_path / name, values))
    got = np.asarray(read.image)
    assert got.shape == (64, 64, 3)
    assert (got[..., 0] == got[..., 2]).all()
    assert np.abs(got[..., 0] / 255 - RAMP).max() < 0.6 / 255
    assert (read.scaled, read.dim) == (True, False)


def test_a_deep_picture_that_uses_little_of_its_range_is_told(tmp_path: Path) -> None:
    assert decode(deep(tmp_path / "a.png", (RAMP * 1000).astype(np.uint16))).dim


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (RAMP * 2 - 1, "values from -1 to 1, which have no known range; store floats"),
        (RAMP * 4000, "values from 0 to 4000"),
        (np.where(RAMP > 0.5, np.nan, RAMP), "not finite"),
    ],
)
def test_floats_without_a_known_range_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    path = deep(tmp_path / "a.tif", values.astype(np.float32))
    with pytest.raises(Undecodable) as caught:
        decode(path)
    assert words in caught.value.whole


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("turn", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_noted_turn_is_made_once(tmp_path: Path, ending: str, turn: int) -> None:
    """What a viewer shows: Pillow's own function on the plain pixels tells."""
    from PIL import ImageOps

    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :16], pixels[8:, :16] = 255, (255, 0, 0)
    noted = Image.Exif()
    noted[0x0112] = turn
    path = tmp_path / f"phone.{ending}"
    extra = {"lossless": True} if ending == "webp" else {"quality": 95, "subsampling": 0} if ending == "jpg" else {}
    Image.fromarray(pixels).save(path, exif=noted, **extra)
    plain = Image.fromarray(pixels)
    plain.getexif()[0x0112] = turn
    wanted = np.asarray(ImageOps.exif_transpose(plain))
    read = decode(path)
    assert read.turned == (turn > 1)
    assert np.asarray(read.image).shape == wanted.shape
    assert np.abs(np.asarray(read.image).astype(int) - wanted).mean() < 3


def test_published_pictures_are_read_by_pillow_alone(tmp_path: Path) -> None:
    noted = Image.Exif()
    noted[0x0112] = 6
    path = tmp_path / "phone.jpg"
    Image.fromarray(np.zeros((16, 32, 3), np.uint8)).save(path, exif=noted)
    own, published = FileImages([path]), FileImages([path], published=True)
    assert (own.load(0).size, published.load(0).size) == ((16, 32), (32, 16))
    assert np.array_equal(np.asarray(published.load(0)), np.asarray(Image.open(path).convert("RGB")))
    # Features of the two are kept apart, in selections of rows too.
    assert content_of(published, 0) == published.sha256(0)
    assert content_of(own, 0) != published.sha256(0)
    assert content_of(ImageRows(own, [0]), 0) == content_of(own, 0)


def photograph(mode: str, width: int = 800, height: int = 600) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (height // 50, width // 50, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("turn", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["RGB", "L", "CMYK", "progressive", "MPO"])
def test_a_large_jpeg_is_decoded_at_a_part_of_its_size(tmp_path: Path, kind: str, turn: int) -> None:
    """A quarter leaves both sides 150 pixels at least; each pixel is the mean of those that it stands for."""
    noted = Image.Exif()
    noted[0x0112] = turn
    picture, path = photograph(kind if kind in ("L", "CMYK") else "RGB"), tmp_path / "phone.jpg"
    how = {"save_all": True, "append_images": [photograph("RGB", 320, 240)]} if kind == "MPO" else {}
    picture.save(path, "MPO" if kind == "MPO" else "JPEG", exif=noted, progressive=kind == "progressive", **how)
    whole, reduced = decode(path), decode(path, least=150)
    assert whole.image.size == ((600, 800) if turn > 4 else (800, 600))
    assert reduced.image.size == ((150, 200) if turn > 4 else (200, 150))
    assert (reduced.image.mode, reduced.turned, reduced.frames) == ("RGB", turn > 1, False)
    assert np.abs(np.asarray(whole.image.reduce(4)).astype(int) - np.asarray(reduced.image)).mean() < 1
    # One pixel less than twice is too few to be reduced.
    assert decode(path, least=301).image.size == whole.image.size


def test_smaller_jpegs_other_formats_and_published_pictures_are_never_reduced(tmp_path: Path) -> None:
    picture = photograph("RGB")
    for name, least, published in (("a.jpg", 301, False), ("b.jpg", 100, True), ("c.png", 100, False)):
        path = tmp_path / name
        picture.save(path)
        read, plain = decode(path, published=published, least=least), decode(path, published=published)
        assert np.array_equal(np.asarray(read.image), np.asarray(plain.image))


def test_a_cut_file_is_refused_at_a_part_of_its_size_too(tmp_path: Path) -> None:
    photograph("RGB").save(tmp_path / "a.jpg")
    with pytest.raises(Undecodable, match="truncated"):
        decode((tmp_path / "a.jpg").read_bytes()[:4000], least=100)


def test_the_limit_on_pixels_counts_those_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photograph("RGB").save(tmp_path / "a.jpg")
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "0.1M")
    with pytest.raises(Undecodable, match="480,000 pixels"):
        decode(tmp_path / "a.jpg", least=100)


def test_images_that_only_load_come_whole(tmp_path: Path) -> None:
    class Plain:
        def __len__(self) -> int:
            return 1

        def load(self, row: int) -> Image.Image:
            return photograph("RGB")

        def sha256(self, row: int) -> str:
            return "ab" * 32

    for images in (Plain(), ImageRows(Plain(), [0])):
        assert load_reduced(images, 0, 100).size == (800, 600)
        assert content_of(images, 0, 100) == content_of(images, 0) == "ab" * 32


@pytest.mark.parametrize(
    ("mode", "colour"), [("RGBA", (9, 9, 9, 0)), ("LA", (9, 0)), ("P", 0), ("RGB", (9, 9, 9)), ("L", 9)]
)
def test_what_is_transparent_is_white(tmp_path: Path, mode: str, colour: Any) -> None:
    noted = {} if "A" in mode else {"transparency": colour}
    Image.new(mode, (8, 8), colour).save(tmp_path / "a.png", **noted)
    read = decode(tmp_path / "a.png")
    assert read.pasted
    assert (np.asarray(read.image) == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_plain_pictures_are_as_pillow_has_them(tmp_path: Path, mode: str) -> None:
    picture = Image.fromarray((RAMP * 255).astype(np.uint8)).convert("RGB").convert(mode)
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    picture.save(path)
    read = decode(path.read_bytes())
    assert np.array_equal(np.asarray(read.image), np.asarray(Image.open(path).convert("RGB")))
    assert (read.turned, read.scaled, read.dim, read.frames, read.pasted) == (False,) * 5


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_the_first_of_several_frames_is_taken(tmp_path: Path, ending: str) -> None:
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    more = {"lossless": True} if ending == "webp" else {}
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[second], **more)
    read = decode(tmp_path / f"a.{ending}")
    assert read.frames
    assert (np.asarray(read.image) == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["a.dat", "b", "c.jfif", "d.txt"])
def test_the_content_counts_not_the_name(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / name, "WEBP", lossless=True)
    assert np.asarray(decode(tmp_path / name).image)[0, 0].tolist() == [255, 0, 0]
    assert looks_like_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("head", "words", "kept"),
    [
        (b"", "0 bytes", False),
        (b"%PDF-1.7", "PDF", False),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "no image format that is read", False),
        (b"\n<!DOCTYPE html><html>", "a web page", False),
        (b'<?xml version="1.0"?><svg xmlns="x">', "SVG", False),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull", False),
        (b"\x00\x00\x00\x20ftypmp42", "a video", False),
        (b"\x00\x00\x00\x0cJXL \r\n", "JPEG XL", True),
        (b"file,labels\na.jpg,dog\n", "no image format that is read", False),
    ],
)
def test_other_content_is_called_what_it_is(tmp_path: Path, head: bytes, words: str, kept: bool) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(head)
    with pytest.raises(Undecodable) as caught:
        decode(path)
    assert words in caught.value.whole
    assert looks_like_picture(path) is kept


def test_heic_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    module._formats.cache_clear()
    monkeypatch.setattr(module, "FORMATS", tuple(name for name in module.FORMATS if name != "HEIF"))
    with pytest.raises(UserError, match=r"image phone\.heic cannot be decoded \(HEIC") as caught:
        FileImages([path]).load(0)
    assert caught.value.hint == "pip install 'ltbench[heic]'"
    assert looks_like_picture(path)
    module._formats.cache_clear()


def test_heic_is_read_with_the_extra(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the extra heic")
    heif.register_heif_opener()
    module._formats.cache_clear()
    Image.new("RGB", (16, 8), (255, 0, 0)).save(tmp_path / "a.heic", quality=100)
    assert np.abs(np.asarray(decode(tmp_path / "a.heic").image)[0, 0].astype(int) - (255, 0, 0)).max() < 9


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg")
    with pytest.raises(Undecodable, match="truncated"):
        decode((tmp_path / "a.jpg").read_bytes()[:900])


def test_the_limit_on_pixels_can_be_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (200, 100)).save(tmp_path / "a.png")
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "0.01M")
    with pytest.raises(Undecodable) as caught:
        decode(tmp_path / "a.png")
    assert caught.value.whole == "20,000 pixels, the limit is 10,000; LTBENCH_MAX_PIXELS=10M raises it"
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "20000")
    assert decode(tmp_path / "a.png").image.size == (200, 100)
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="no number of pixels"):
        max_pixels()


def test_pillows_own_limit_is_raised_with_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow refuses at twice its number, here 40,000 pixels."""
    Image.new("1", (300, 200)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    monkeypatch.setattr(module, "MOST_PIXELS", 40_000)
    with pytest.raises(Undecodable, match="60,000 pixels, the limit is 40,000"):
        decode(tmp_path / "a.png")
    monkeypatch.setenv("LTBENCH_MAX_PIXELS", "60000")
    assert decode(tmp_path / "a.png").image.size == (300, 200)
