"""A link in a help text opens the glossary at its entry."""

import pytest

from core.glossary import glossary

pytestmark = pytest.mark.browser
FAR_DOWN = "BatchNorm running statistics"


def test_every_entry_has_its_address_and_a_link_leads_to_it(common, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    term = glossary()[FAR_DOWN]

    page.goto(f"{common.url}/glossary#{term.anchor}")

    heading = page.get_by_role("heading", name=term.name)
    heading.wait_for(timeout=180_000)
    page.wait_for_function(
        "id => { const top = document.getElementById(id).getBoundingClientRect().top; return 0 <= top && top < 300 }",
        arg=term.anchor,
        timeout=180_000,
    )
    page.wait_for_function(
        "ids => ids.every(id => document.getElementById(id))",
        arg=[term.anchor for term in glossary().values()],
        timeout=180_000,
    )
    page.close()
