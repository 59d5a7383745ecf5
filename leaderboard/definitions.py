"""What the words and numbers of the site mean, for the page about them."""

WORDS = """
| word | meaning |
|---|---|
| allocator | decides how many tokens each layer and KV head keeps |
| scorer | decides which tokens a head keeps, by a score for each |
| budget | *prune 0.8*: 80% of the context is evicted; *keep 256*: each head keeps 256 tokens on average |
| method | an allocator with a scorer: *lukv x keydiff*. Arguments that have their defaults are not written |
| configuration | a method at a budget, with everything else that may change an answer |
| setting | what results must share to be compared: model, revision, precision, protocol, seed, version of lukv-bench |
| task, length | what is asked, and the tokens of prompt and answer together |
| result | a configuration on a task at a length: its answers to the same samples as everybody's |
| complete | every sample that was asked has an answer with a score |
"""

PROTOCOLS = {
    "agnostic": (
        "**agnostic**: the context is read and evicted before the question is seen, so a kept cache serves any "
        "question. The question is read afterwards, over what is left."
    ),
    "aware": (
        "**aware**: context and question are read together, and then the context is evicted: scorers may use the "
        "question, and the kept cache serves that question alone."
    ),
}

EVICTION = """
Evicted tokens are really gone: keys and values of different lengths for each head, attended to as they are, not masked.
*Kept* bytes are those that the cache then holds, averaged over the answers. The first and last tokens that a scorer
protects (sink and window) count as kept.
"""

STATISTICS = """
**Score.** The task's own metric, 0 to 100, averaged over its samples. Over several tasks the means are averaged, so
tasks weigh the same whatever their numbers of samples. Nothing is averaged over samples that only some answered.

**95% interval.** Where the score would lie for other samples of the same tasks: Wilson's interval, for samples of one
document together where they share one. It is about samples, not about other models, seeds or prompts.

**Differences.** Configurations answer the same samples, so they are compared sample by sample: a sign-flip test of the
mean difference. Two intervals may overlap although the paired difference is certain, and the other way round.

**Many comparisons.** Holm's correction over all pairs keeps the chance of a single false difference below 5%.

**Ranks.** Shared where that test cannot part two configurations.

**Loss.** What is lost of the full cache's score over the same samples, in percent. Negative where eviction helped.

**Seconds.** Of an accuracy run: indicative, since it shares one prefill among many configurations, and machines differ.
They are averaged over one machine only and never ranked. Those on the page Cost are measured and ranked.
"""

COST = """
Each configuration was measured alone, in a process of its own, on a device that no other measurement used: its logits
were compared with those of the masked full cache first, one repeat went before those that count, and every repeat read,
evicted and decoded the same number of tokens. Numbers are medians over the repeats, with quartiles.
*To first token* is the sum of prefill, eviction (score, allocate, select, compact) and the first pass over the
question; *peak* is memory beside the model; *footprint* is slots held x time held, relative to the full cache.
"""
