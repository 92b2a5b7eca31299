"""A teacher's link, opened by a student in another browser: the same pictures, settings and seeds."""

from typing import Any

import pytest

from benchmarks.shown import settle

pytestmark = pytest.mark.browser
CLICK_MS = 180_000


def opened(chromium: Any, address: str) -> Any:
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(CLICK_MS)
    page.goto(address)
    settle(page)
    return page


def go(page: Any, name: str) -> None:
    page.get_by_test_id("stTopNavLink").filter(has_text=name).click()
    page.get_by_role("heading", name="Thaw" if name == "Home" else name, exact=True, level=1).wait_for()
    settle(page)


def pressed(page: Any, group: str) -> list[str]:
    """What is chosen in a row of buttons."""
    buttons = page.locator(f".st-key-{group} button")
    buttons.first.wait_for()
    return [one.inner_text() for one in buttons.all() if one.get_attribute("data-selected") == "true"] or [
        one.inner_text() for one in buttons.all() if "Active" in (one.get_attribute("data-testid") or "")
    ]


def chosen(page: Any) -> dict[str, Any]:
    """What a page of Home and of Augment shows as chosen."""
    go(page, "Home")
    home = {group: pressed(page, group) for group in ("home-scenarios", "home-seeds")}
    go(page, "Augment")
    page.locator(".st-key-augment-controls").get_by_role("slider").first.wait_for()
    return home | {
        "augment": pressed(page, "augment-preset"),
        "values": page.locator(".st-key-augment-controls").inner_text(),
    }


def test_a_student_who_opens_a_teacher_s_link_has_the_same_choices(common: Any, chromium: Any) -> None:
    teacher = opened(chromium, common.url)
    plain = chosen(teacher)
    go(teacher, "Home")
    teacher.locator(".st-key-home-seeds").get_by_text("5", exact=True).click()
    settle(teacher)
    teacher.locator(".st-key-home-scenarios").get_by_text("Last stages", exact=True).click()
    settle(teacher)
    go(teacher, "Augment")
    for _ in range(3):
        teacher.locator(".st-key-augment-controls").get_by_role("slider").first.press("ArrowRight")
        settle(teacher)
    wanted = chosen(teacher)
    assert wanted["augment"] == ["Custom"] and wanted["home-seeds"] == ["5"], wanted
    assert {name for name in wanted if wanted[name] != plain[name]} == set(wanted), "all of it was changed"

    teacher.get_by_role("button", name="Share", exact=True).click()
    teacher.get_by_alt_text("The link as a QR code").wait_for()
    shown = teacher.get_by_test_id("stPopoverBody").get_by_test_id("stCode")
    shown.get_by_text("http").first.wait_for()
    link = shown.inner_text().replace("\n", "")
    student = opened(chromium, link)

    assert chosen(student) == wanted
    student.reload()
    settle(student)
    assert chosen(student) == wanted
    assert student.get_by_test_id("stAlert").count() == 0
    for page in (teacher, student):
        page.context.close()
