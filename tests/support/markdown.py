"""Code blocks of the documents, for tests that run or check them."""

import re


def code_blocks(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
