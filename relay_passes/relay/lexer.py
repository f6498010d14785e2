"""Relay's text as tokens, by the rules of TVM's own tokenizer
(``src/relay/parser/tokenizer.h``)."""

import re
from dataclasses import dataclass

from zeroskip.relay_passes.relay.types import refusal

# Names of variables are free text in Relay; of a ':' or '/' only what cannot end a name is one.
_RULES = {
    "blank": r"[ \t\r\n]+",
    "type": r"/\*\s*ty=(?:(?!\*/).)*\*/",
    "comment": r"/\*(?:(?!\*/).)*\*/|//[^\n]*",
    "version": r'\#\[version\s*=\s*"[^"\n]*"\]',
    "metadata": r"\#\[metadata\]",
    "text": r'"(?:[^"\\\n]|\\.)*"',
    "number": r"-?(?:(?:inf|nan)f(?:16|32|64)?|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?:[fiu]\d*)?)(?![\w.])",
    "variable": r"%(?:[\w.\-]|/(?!\*)|:(?=[\w.\-/]))+",
    "function": r"@[\w.]+",
    "word": r"[A-Za-z_][\w.]*",
    "mark": r"->|[()\[\]{},;:=?]",
}
_TOKEN = re.compile("|".join(f"(?P<{kind}>{rule})" for kind, rule in _RULES.items()), re.DOTALL)
_SKIPPED = ("blank", "comment")
_SHOWN = 30  # characters of what is refused


@dataclass(frozen=True)
class Token:
    """A word of the text.

    kind: ``type`` (a comment that gives a type), ``version``, ``metadata``, ``text``, ``number``,
    ``variable``, ``function``, ``word``, ``mark`` or ``end``. text: as it stands there; of
    ``type``, what is behind ``ty=``; of ``metadata``, all that follows. line: counted from 1.
    """

    kind: str
    text: str
    line: int


def tokens_of(source: str, line: int = 1) -> list[Token]:
    """The tokens, blanks and comments left out, and one of kind ``end`` behind them.

    line: the number of the first line. FrontError, with its line, for what is no token.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None or match.lastgroup is None:
            found = source[position : position + _SHOWN].split("\n")[0]
            raise refusal(line, f"{found!r} is no Relay text: print the module with astext() again")
        kind, text = match.lastgroup, match.group()
        if kind == "metadata":
            tokens.append(Token(kind, source[match.end() :], line))
            break
        if kind == "type":
            tokens.append(Token(kind, text[2:-2].strip().removeprefix("ty="), line))
        elif kind not in _SKIPPED:
            tokens.append(Token(kind, text, line))
        line += text.count("\n")
        position = match.end()
    return [*tokens, Token("end", "the end of the text", line)]
