"""The gallery: a cell per picture, alternative texts, marks in words."""

from streamlit.testing.v1 import AppTest


def script():
    import io

    import numpy as np
    from PIL import Image

    from pages.components.gallery import GalleryItem, gallery

    encoded = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(encoded, "PNG")
    pixels = np.zeros((6, 8, 3), np.uint8)
    gallery(
        [
            GalleryItem(image=encoded.getvalue(), title="**ant**.png", captions=("one", "![](http://t.example)")),
            GalleryItem(image=pixels, title="bee", mark="good"),
            GalleryItem(image=pixels, title="wasp", mark="bad"),
        ],
        columns_wide=3,
        key="test.gallery",
    )


def test_every_picture_has_its_words():
    at = AppTest.from_function(script, default_timeout=30).run()

    assert not at.exception
    assert [image.proto.imgs[0].alt for image in at.get("image")] == ["**ant**.png", "bee, right", "wasp, wrong"]
    assert at.markdown[0].value == r"**\*\*ant\*\*\.png**"
    assert [line.split("\\")[0] for line in at.caption[0].value.split("  \n")] == ["one", ""]


def test_a_mark_is_a_word_and_an_icon_not_only_a_colour():
    at = AppTest.from_function(script, default_timeout=30).run()

    badges = [element.value for element in at.markdown if "badge" in element.value]
    assert len(badges) == 2
    assert "right" in badges[0] and ":material/check:" in badges[0]
    assert "wrong" in badges[1] and ":material/close:" in badges[1]
