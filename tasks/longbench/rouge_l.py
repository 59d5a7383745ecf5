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
    lengths = _lengths(wanted, said)
    words: set[str] = set()
    i, j = len(wanted), len(said)
    while i and j:
        if wanted[i - 1] == said[j - 1]:
            i, j = i - 1, j - 1
            words.add(wanted[i])
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return words


def _lengths(wanted: list[str], said: list[str]) -> list[list[int]]:
    """Length of the longest common subsequence of the first i and the first j words, at [i][j]."""
    above = [0] * (len(said) + 1)
    table = [above]
    for word in wanted:
        row = [0]
        for j, other in enumerate(said):
            row.append(above[j] + 1 if word == other else max(above[j + 1], row[j]))
        table.append(row)
        above = row
    return table
