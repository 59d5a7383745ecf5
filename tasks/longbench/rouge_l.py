"""ROUGE-L as LongBench reports it, which is what the package `rouge` (1.0.1) computes.

Sentences end at full stops, words at white space. Every sentence of the reference is compared with every
sentence of the answer; all words of all longest common subsequences together, each word once, are set
against the distinct words of the answer (precision) and of the reference (recall).

Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), section 3.2; LongBench's
recorded scores. Differs from the paper: words count once, however often they stand there.
Differs from `rouge`: no recursion. There, sentences of about a thousand words together exhaust Python's
stack, sooner the deeper the caller stands, and LongBench counts the failure as 0.
"""


def rouge_l(prediction: str, reference: str) -> float:
    """F of ROUGE-L, 0 to 1; 0 if either text is empty or all full stops."""
    said, wanted = _sentences(prediction), _sentences(reference)
    if not said or not wanted:
        return 0.0
    shared: set[str] = set()
    for sentence in wanted:
        for candidate in said:
            shared |= _in_both(sentence, candidate)
    precision = len(shared) / len({word for sentence in said for word in sentence})
    recall = len(shared) / len({word for sentence in wanted for word in sentence})
    return 2 * (precision * recall / (precision + recall + 1e-8))


def _sentences(text: str) -> list[list[str]]:
    """Words per sentence. A sentence of white space alone is one empty word, as in `rouge`."""
    return [sentence.split() or [""] for sentence in text.split(".") if sentence]


def _in_both(wanted: list[str], said: list[str]) -> set[str]:
    """The words of one longest common subsequence: among several, the one that `rouge` finds.

    Words said that are not wanted are dropped first. They match nothing, and the walk back below would
    step over them without a choice: only `wanted` decides ties.
    """
    known = set(wanted)
    said = [word for word in said if word in known]
    grows = _growth(wanted, said)
    words: set[str] = set()
    i, j = len(wanted), len(said)
    while i and j:
        if wanted[i - 1] == said[j - 1]:
            i, j = i - 1, j - 1
            words.add(wanted[i])
        elif grows[i] >> (j - 1) & 1:
            i -= 1
        else:
            j -= 1
    return words


def _growth(wanted: list[str], said: list[str]) -> list[int]:
    """Where the longest common subsequence grows, of the first i words wanted in bit j of entry i: whether with the
    first j + 1 words said it is longer than with the first j.

    A row is one whole number, so that a sentence of many thousand words takes an eighth of a byte a pair of words.
    Where two words differ, a bit that is set says that the row above is as long, and one that is not that the column
    before is: all that the walk back asks.

    Source: Hyyroe, "Bit-parallel LCS-length computation revisited" (2004).
    """
    places: dict[str, int] = {}
    for j, word in enumerate(said):
        places[word] = places.get(word, 0) | 1 << j
    whole = (1 << len(said)) - 1
    still = whole
    rows = [0]
    for word in wanted:
        same = still & places.get(word, 0)
        still = ((still + same) | (still - same)) & whole
        rows.append(whole ^ still)
    return rows
