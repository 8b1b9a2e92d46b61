"""Lists of authors: which row of a data set each of their lines means."""

from __future__ import annotations

import pytest

from ltbench.plugin.errors import UserError
from ltbench.tasks.views.published import Line, row_numbers

#: NUS-WIDE lists this photograph in two folders; the official list of images has a few such.
TWICE = ("actor/0001_2124494179.jpg", "sport/0007_702409954.jpg", "ski/0031_702409954.jpg", "zebra/0002_77.jpg")


def numbers(*images: str, ids: tuple[str, ...] = TWICE) -> list[int]:
    return row_numbers([Line(image, "") for image in images], ids, "list.txt", "nus-wide")


def test_a_photograph_in_two_folders_is_each_of_them_in_turn() -> None:
    assert numbers("9_77_ab_m.jpg", "5_702409954_0626a41ef1_m.jpg") == [3, 1]
    assert numbers("5_702409954_0626a41ef1_m.jpg", "6_702409954_0626a41ef1_m.jpg", "1_2124494179_0_m.jpg") == [1, 2, 0]


def test_a_photograph_listed_more_often_than_it_is_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"list\.txt lists an image twice"):
        numbers(*(f"{place}_702409954_0626a41ef1_m.jpg" for place in range(3)))
    with pytest.raises(UserError, match=r"list\.txt lists an image twice"):
        numbers("zebra/0002_77.jpg", "zebra/0002_77.jpg")


def test_images_that_the_data_set_lacks_are_counted_and_named() -> None:
    with pytest.raises(UserError, match=r"nus-wide lacks 4 of the 5 images that list\.txt lists: a, b, c and 1 more"):
        numbers("a", "b", "c", "9_78_ab_m.jpg", "zebra/0002_77.jpg")


@pytest.mark.parametrize(
    ("image", "row_id"),
    [
        ("VOCdevkit/VOC2012/JPEGImages/2008_000023.jpg", "2008_000023"),
        ("2008_000023.jpg", "2008_000023"),
        ("train2017/000000554625.jpg", "000000554625.jpg"),
        ("554625", "000000554625.jpg"),
        ("COCO_train2014_000000554625.jpg", "000000554625.jpg"),
        ("001.Black_footed_Albatross/A_0009_34.jpg", "001.Black_footed_Albatross/A_0009_34.jpg"),
    ],
)
def test_spellings_of_an_image(image: str, row_id: str) -> None:
    assert numbers(image, ids=("another", row_id)) == [1]
