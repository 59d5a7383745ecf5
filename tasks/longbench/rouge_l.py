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
    predicted_sentences, reference_sentences = _sentences(prediction), _sentences(reference)
    if not predicted_sentences or not reference_sentences:
        return 0.0
    shared: set[str] = set()
    for sentence in reference_sentences:
        for candidate in predicted_sentences:
            shared |= _in_both(sentence, candidate)
    precision = len(shared) / len({word for sentence in predicted_sentences for word in sentence})
    recall = len(shared) / len({word for sentence in reference_sentences for word in sentence})
    return 2 * (precision * recall / (precision + recall + 1e-8))


def _sentences(text: str) -> list[list[str]]:
    """Words per sentence. A sentence of white space alone is one empty word, as in `rouge`."""
    return [sentence.split() or [""] for sentence in text.split(".") if sentence]


def _in_both(reference: list[str], prediction: list[str]) -> set[str]:
    """The words of one longest common subsequence: among several, the one that `rouge` finds.

    Predicted words that the reference lacks are dropped first. They match nothing, and the walk back below would
    step over them without a choice: only `reference` decides ties.
    """
    vocabulary = set(reference)
    prediction = [word for word in prediction if word in vocabulary]
    grows = _growth(reference, prediction)
    words: set[str] = set()
    i, j = len(reference), len(prediction)
    while i and j:
        if reference[i - 1] == prediction[j - 1]:
            i, j = i - 1, j - 1
            words.add(reference[i])
        elif grows[i] >> (j - 1) & 1:
            i -= 1
        else:
            j -= 1
    return words


def _growth(reference: list[str], prediction: list[str]) -> list[int]:
    """Where the longest common subsequence grows. Bit j of entry i: whether the first i words of the reference have a
    longer one with the first j + 1 words of the prediction than with the first j.

    A row is one whole number, so that a sentence of many thousand words takes an eighth of a byte a pair of words.
    Where two words differ, a set bit says that the row above is as long, a clear bit that the column before is. The
    walk back needs no more.

    Source: Hyyroe, "Bit-parallel LCS-length computation revisited" (2004).
    """
    places: dict[str, int] = {}
    for j, word in enumerate(prediction):
        places[word] = places.get(word, 0) | 1 << j
    whole = (1 << len(prediction)) - 1
    still = whole
    rows = [0]
    for word in reference:
        same = still & places.get(word, 0)
        still = ((still + same) | (still - same)) & whole
        rows.append(whole ^ still)
    return rows
