"""Help texts that lead to the glossary."""

from core.glossary import glossary, term_of_option


def with_term(help: str, *names: str) -> str:
    """A help text with links to these entries of the glossary; they open beside the page, which stays as it is."""
    links = [f"[{name}](glossary#{glossary()[name].anchor})" for name in names]
    return f"{help}  \n:material/menu_book: {', '.join(links)}"


def option_help(option: str, help: str) -> str:
    """The help text of a setting, with a link to what explains it."""
    term = term_of_option(option)
    return with_term(help, term.name) if term else help
