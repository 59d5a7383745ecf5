"""Answers questions by reading the context alone, a line at a time; it knows nothing of how contexts are made."""

import re
from collections import Counter
from collections.abc import Sequence

PARCEL = re.compile(r"The code of parcel ([\w-]+) on the (\w+) shelf is ([\w-]+)\.")
WORKER = re.compile(r"(\w+) works in the (\w+) team\.")
VARIABLE = re.compile(r"The value of variable (\w+) is (that of variable )?([\w-]+)\.")
ROUTE = re.compile(r"The carrier visits (.+)\.")
MOTTO = re.compile(r"The motto of the storehouse is: (.+)\.")

FORMS = {
    "value": r"^What is the code of parcel ([\w-]+) on the (\w+) shelf\?$",
    "near": r"^What is the code of parcel ([\w-]+) on the (\w+) shelf\?$",
    "key": r"^Which parcel on the (\w+) shelf has the code ([\w-]+)\?$",
    "variable": r"^What is the (value) of variable (\w+)\?$",
    "count": r"^How many workers work in the (\w+) team\? Answer with (one) number\.$",
    "order": r"^Which town does the carrier visit (right) after (\w+)\?$",
    "list": r"^What are the codes of the (three) parcels on the (\w+) shelf\?$",
    "category": r"^In which team does (\w+) (work)\?$",
    "copy": r"^(What) is the motto of the storehouse, (word for word)\?$",
    "frequent": r"^(In) which team do (most) workers work\?$",
}


class Reader:
    """What the lines of a context say."""

    def __init__(self, context: str) -> None:
        self.lines = context.split("\n")
        self.parcels = [match.groups() for line in self.lines if (match := PARCEL.fullmatch(line))]
        self.workers = dict(match.groups() for line in self.lines if (match := WORKER.fullmatch(line)))
        self.variables = {match[1]: match.groups()[1:] for line in self.lines if (match := VARIABLE.fullmatch(line))}
        self.routes = [match[1] for line in self.lines if (match := ROUTE.fullmatch(line))]
        self.mottos = [match[1] for line in self.lines if (match := MOTTO.fullmatch(line))]

    def answers(self, kind: str, question: str) -> list[str]:
        """The answers to a question of a kind, in order."""
        answers: list[str] = getattr(self, kind)(*re.findall(FORMS[kind], question)[0])
        return answers

    def value(self, name: str, shelf: str) -> list[str]:
        return [code for one, its, code in self.parcels if (one, its) == (name, shelf)]

    def near(self, name: str, shelf: str) -> list[str]:
        pair = name.rpartition("-")[0]
        assert len([one for one, _, _ in self.parcels if one.rpartition("-")[0] == pair]) > 1, (
            "there is a near duplicate"
        )
        return self.value(name, shelf)

    def key(self, shelf: str, code: str) -> list[str]:
        return [one for one, its, its_code in self.parcels if (its, its_code) == (shelf, code)]

    def variable(self, _: str, name: str) -> list[str]:
        hops = 0
        while (found := self.variables[name])[0]:
            name, hops = found[1], hops + 1
        assert hops == 2
        return [found[1]]

    def count(self, team: str, _: str) -> list[str]:
        return [str(sum(its == team for its in self.workers.values()))]

    def order(self, _: str, stop: str) -> list[str]:
        (route,) = self.routes
        towns = route.split(", then ")
        return [towns[towns.index(stop) + 1]]

    def list(self, _: str, shelf: str) -> Sequence[str]:
        codes = [code for _, its, code in self.parcels if its == shelf]
        assert len(codes) == 3
        return codes

    def category(self, name: str, _: str) -> Sequence[str]:
        return [self.workers[name]]

    def copy(self, *_: str) -> Sequence[str]:
        (motto,) = self.mottos
        return motto.split(", ")

    def frequent(self, *_: str) -> Sequence[str]:
        (first, most), (_, next_most) = Counter(self.workers.values()).most_common(2)
        assert most > next_most, "one team alone has the most"
        return [first]
