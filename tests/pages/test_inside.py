"""Inside: the network of the address, what trains in it, its tensors, its changes, and what it sees."""

import re
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.commands.anatomy import show_anatomy
from core.settings.schema import ModelSettings
from pages.components.inside import layers


def words(at: AppTest) -> str:
    return "\n".join(element.value for element in [*at.markdown, *at.caption]).replace("\\", "")


def address(at: AppTest, name: str) -> str:
    value = at.query_params[name]
    return value if isinstance(value, str) else value[0]


def tree(at: AppTest) -> str:
    return "".join(element.proto.body for element in at.get("html"))


def test_a_backbone_needs_no_weights_and_shows_what_trains(start) -> None:
    at = start("inside.py", of="resnet18")

    values, _ = show_anatomy("resnet18", ModelSettings(), classes=2)
    assert not at.exception and not at.error
    assert f"{values['trained']:,} of {values['parameters']:,} parameters train" in words(at)
    html = tree(at)
    assert html.index("(conv1)") < html.index("(layer4)") < html.index("(fc)")
    assert "stays frozen" in html and "trains" in html and "<details>" in html
    assert "Not counted: batch_norm (20)" in words(at)

    at.selectbox(key="inside.strategy").set_value("last-stages").run()
    at.toggle(key="inside.unfolded").set_value(True).run()

    assert "Last stages" in words(at) and "<details open>" in tree(at)
    assert (address(at, "strategy"), address(at, "of")) == ("last-stages", "resnet18")


def test_the_head_is_replaced_and_the_mistake_shown_live(start) -> None:
    at = start("inside.py", of="vgg16", view="head")

    code = [element.value for element in at.code]
    assert "net.classifier[6].out_features = 2" in "\n".join(code)
    assert any(text.startswith("torch.Size([1, 1000])") for text in code)
    assert any(text.startswith("torch.Size([1, 2])") for text in code)

    at.pills(key="inside.view").set_value("module").run()

    assert not at.exception and "named_children" in at.code[0].value


def test_tensors_are_searched_and_changes_sorted(start, finished_race) -> None:
    at = start("inside.py", of=finished_race.run("finetuned"), view="tensors")

    assert at.dataframe[0].value["mean"].notna().any()
    at.text_input(key="inside.query").set_value("bn1 running_mean").run()
    table = at.dataframe[0].value
    assert len(table) and table["key"].str.contains("running_mean").all() and set(table["in the optimiser"]) == {"no"}

    at.pills(key="inside.view").set_value("changes").run()
    changes = at.dataframe[0].value["relative change (%)"].dropna()
    assert changes.is_monotonic_decreasing and changes.iloc[0] > 0

    at.selectbox(key="inside.beside").set_value(finished_race.run("frozen")).run()
    assert not at.exception and not at.error and address(at, "beside") == finished_race.run("frozen")


def test_a_channel_that_is_clicked_shows_patches_of_ones_own_pictures(start, finished_race) -> None:
    at = start("inside.py", of=finished_race.run("finetuned"), view="sees", beside="start")

    assert not at.exception and not at.error
    maps = [button for button in at.button if (button.key or "").startswith("inside.map.middle.")]
    channel = int(maps[3].key.rpartition(".")[2])
    maps[3].click().run()

    assert at.number_input(key="inside.channel").value == channel
    assert f"channel {channel} of stage 5" in words(at)
    assert (address(at, "level"), address(at, "channel")) == ("middle", str(channel))
    assert words(at).count("response ") >= 18, "nine patches of each of the two networks"


def test_ids_that_are_not_here_are_said(start) -> None:
    at = start("inside.py", of="gone", beside="never", view="tensors")

    said = "\n".join(element.value for element in at.warning)
    assert "gone" in said and "never" in said and not at.exception
    assert at.selectbox(key="inside.network").value == ModelSettings().backbone


@pytest.mark.parametrize("view", ["changes", "sees"])
def test_a_recorded_run_says_that_it_has_no_weights(start, view: str) -> None:
    at = start("inside.py", of="recorded-0-frozen", view=view)

    assert not at.exception and not at.error and "numbers only" in words(at)


def test_stages_that_are_alike_are_drawn_side_by_side_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(layers, "st", SimpleNamespace(html=drawn.append, caption=str))
    shape = {"channels": 384, "side": 16}
    stages = [SimpleNamespace(**shape, trains=place > 9) for place in range(12)]

    layers.draw_stages(SimpleNamespace(stages=stages, image_size=224, classes=2))

    assert re.findall("<b>(.*?)</b>", drawn[0]) == ["picture", "stages 1 to 10", "stages 11 to 12", "head"]
    assert len(re.findall("height:\\d+px", drawn[0])) == 1 + 12 + 1, "each has its own block"
