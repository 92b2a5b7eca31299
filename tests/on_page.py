"""What is read on a page that AppTest has run."""


def words(at) -> str:
    """Markdown and captions as they are written, but for spaces at which no line ends."""
    return "\n".join(element.value for element in [*at.markdown, *at.caption]).replace("\u00a0", " ")


def headline(at) -> str:
    """What stands there largest, as it is read."""
    return at.header[0].value.replace("\\", "").replace("\u00a0", " ")


def said(at) -> str:
    """Everything that Markdown, captions, banners and expanders say, without what only keeps it literal."""
    alerts = (*at.success, *at.warning, *at.info)
    parts = [shown.value for shown in (*at.markdown, *at.caption, *alerts)] + [one.label for one in at.expander]
    return "\n".join(parts).replace("\\", "").replace("\u2060", "").replace("\u00a0", " ")


def titles(at) -> list[str]:
    """Headings of the second level, as on Data what the chosen data set is called."""
    return [heading.value.replace("\\", "") for heading in at.header]
