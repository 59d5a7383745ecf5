"""The model class `lukv` for lm-eval: a transformers model whose KV cache is evicted after the context."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Self

from lm_eval.api.model import LM, TemplateLM
from lm_eval.api.registry import register_model

from ... import UserError
from ..engine.decode import decode
from ..engine.likelihood import likelihood
from ..engine.prompt import adds_special_tokens, cut_at, ids_of, render_turns
from ..engine.ready import ready_model, refuse_sliding_window
from ..engine.rotary import switch_events
from ..methods.events import Event
from ..models.devices import resolve_backend, resolve_place
from ..models.find import loading
from ..models.load import resolve_dtype
from ..models.template import conversation_heads
from ..record.configuration import CODE_VERSION
from ..record.hashing import content_hash
from ..reports.progress import progress
from .answering import Answered, answer_all, notes
from .arguments import NO_CACHE, ask_method, parse_arguments
from .boundary import context_end
from .evictor import Evictor, Reading
from .feed import Feed, fitted, make_feed, stop_of
from .rolling import score_window, windows
from .tally import Tally


@register_model("lukv")
class LukvLM(LM):  # type: ignore[misc]  # lm-eval is untyped
    """Answers lm-eval's requests over an evicted cache, one prompt at a time.

    Under the protocol `agnostic` the context ends where the document says (see `boundary`); where it says nothing,
    and under `aware`, the whole prompt but its last token is the context. With allocator=full the answers and
    likelihoods are those of lm-eval's own `hf`.
    """

    backend = "causal"

    def __init__(self, **options: Any) -> None:
        """Takes what `arguments.parse_arguments` knows."""
        super().__init__()
        arguments = parse_arguments(options)
        method = ask_method(arguments)
        place = resolve_place(arguments.device)
        self.arguments = arguments
        with progress() as shown:
            shown.report(loading(arguments.pretrained), 0, 1)
            kind, kernels = resolve_dtype(arguments.dtype, place), resolve_backend(arguments.backend, place)
            self.loaded = ready_model(arguments.pretrained, place, kind, arguments.enable_thinking, kernels)
            self.evictor = Evictor.prepare(self.loaded, method, arguments.seed, shown.report)
        self.tokenizer = self.loaded.tokenizer
        self.window = self._window(arguments.max_length)
        self.thinking = self.loaded.thinking
        if arguments.think_end_token is not None:
            self.thinking = replace(self.thinking, end=arguments.think_end_token)
        self.tally = Tally()
        self._device = self.loaded.device
        self._rendered: set[str] = set()
        self._heads = conversation_heads(self.tokenizer)

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None) -> Self:
        """As in lm-eval, except that --model_args override lm-eval's options of the same name."""
        return cls(**((additional_config or {}) | arg_dict))

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Refuse lm-eval's response cache, whose key is the request alone.

        Raises:
            UserError: always.
        """
        raise UserError(NO_CACHE)

    def _window(self, requested: int | None) -> int:
        most = self.loaded.shape.max_positions
        if requested is not None and requested > most:
            raise UserError(f"{self.loaded.name} has {most} positions; give a max_length of at most {most}.")
        return requested or most

    @property
    def eot_token_id(self) -> int:
        """As lm-eval's `hf`."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """The token before a text without a context: BOS, or EOS if there is none."""
        bos = self.tokenizer.bos_token_id
        return self.eot_token_id if bos is None else int(bos)

    @property
    def tokenizer_name(self) -> str:
        """Part of the key of lm-eval's request cache."""
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template that --apply_chat_template selects, for lm-eval's record."""
        template: str | None = TemplateLM.chat_template(self, chat_template)
        return template

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The model's own template."""
        prompt = render_turns(self.tokenizer, chat_history, add_generation_prompt)
        self._rendered.add(content_hash(prompt))
        return prompt

    def get_model_info(self) -> dict[str, Any]:
        """The settings that determined the answers, for lm-eval's results file; called after the evaluation.

        `requests`, `requests_evicted_whole` (run as under aware, since their document does not tell where its context
        ends) and `events` (each with the number of requests it was recorded on) count since the model was loaded.
        """
        return {
            "model_revision": self.loaded.revision,
            "model_dtype": self.loaded.dtype,
            "kernel_backend": self.loaded.backend,
            "chat_template_settings": list(self.loaded.template_record),
            **self.evictor.facts,
            "protocol": self.arguments.protocol,
            "truncation": self.arguments.truncation,
            "max_length": self.window,
            "code_version": CODE_VERSION,
            **self.tally.facts,
        }

    def tok_encode(self, string: str, add_special_tokens: bool | None = None) -> list[int]:
        """Token ids as in a run: BOS once, no EOS after the text."""
        special = self._adds_special(string) if add_special_tokens is None else add_special_tokens
        return ids_of(self.tokenizer, string, special)

    def _adds_special(self, prompt: str) -> bool:
        return adds_special_tokens(self.tokenizer, prompt, chat=self._is_rendered(prompt))

    def _is_rendered(self, prompt: str) -> bool:
        """Whether a prompt was put into the chat template, here or by the run that filled lm-eval's request cache."""
        return content_hash(prompt) in self._rendered or prompt.startswith(self._heads)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Read the context, evict it, feed the question, decode greedily."""
        stops, feeds = [], []
        for request in requests:
            prompt, generation = request.args
            thinking = self.thinking.behind(prompt, self._is_rendered(prompt))
            stops.append(stop_of(dict(generation), self.loaded, thinking))
            ids, cut = self._cut(request, prompt, prompt)
            feed = make_feed(ids, cut, 1, self.arguments.protocol == "aware")
            feeds.append(self._fitted(feed, stops[-1].max_new_tokens))

        def answer(reading: Reading, number: int) -> Answered:
            rest, stop = feeds[number].rest, stops[number]
            row = decode(self.loaded, reading.cache(), [rest], stop).rows[0]
            return Answered(row.text, row.events)

        return self._answers("generating", feeds, answer)

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Read the context, evict it, score what follows in one chunk.

        Raises:
            UserError: thinking is on, and a likelihood has no thoughts.
        """
        if self.thinking.on:
            raise UserError("tasks that are scored by likelihood generate no thoughts; leave out enable_thinking.")
        feeds, scored = [], []
        for request in requests:
            prompt, continuation = request.args
            cut: int | None = None
            if prompt:
                front, back = self._pair(prompt, continuation)
                cut = self._cut(request, prompt, prompt + continuation)[1]
            else:
                front, back = [self.prefix_token_id], self.tok_encode(continuation, add_special_tokens=False)
                if back[:1] == front:
                    back = back[1:]
            feed = make_feed((*front, *back[:-1]), cut, len(back), self.arguments.protocol == "aware")
            feeds.append(self._fitted(feed, 0))
            scored.append(back)

        def answer(reading: Reading, number: int) -> Answered:
            rest = feeds[number].rest
            return Answered(tuple(likelihood(self.loaded, reading.cache(), rest, scored[number])))

        return self._answers("scoring", feeds, answer)

    def _pair(self, prompt: str, continuation: str) -> tuple[list[int], list[int]]:
        """The ids of a prompt and of its continuation, split as in lm-eval's `hf`: white space at the prompt's end
        belongs to the continuation."""
        special = self._adds_special(prompt)
        front = ids_of(self.tokenizer, prompt.rstrip(), special)
        return front, ids_of(self.tokenizer, prompt + continuation, special)[len(front) :]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Score whole texts in lm-eval's windows, each evicted after its first half (see `rolling`)."""
        texts = [windows(self.tok_encode(r.args[0]), self.prefix_token_id, self.window) for r in requests]
        for window in (window for text in texts for window in text):
            refuse_sliding_window(self.loaded, len(window.ids))
            self.evictor.check(window.half)
        totals, tally = [], Tally()
        with progress() as shown:
            for number, text in enumerate(texts):
                shown.report("scoring whole texts", number, len(texts))
                scores = [score_window(self.evictor, window) for window in text]
                tally.add(event for score in scores for event in score.events)
                totals.append(sum((score.logprob for score in scores), 0.0))
        self._tell(tally)
        return totals

    def _cut(self, request: Any, prompt: str, text: str) -> tuple[tuple[int, ...], int | None]:
        """The ids of a text that begins with the prompt, and how many of them are context."""
        document = request.doc if isinstance(request.doc, dict) else {}
        end = context_end(request.task_name or "", document, prompt, self.arguments.context_field)
        ids, cut = cut_at(self.tokenizer, text, len(prompt) if end is None else end, self._adds_special(prompt))
        return ids, None if end is None else cut

    def _fitted(self, feed: Feed, to_come: int) -> Feed:
        fit = fitted(feed, self.loaded, to_come, self.window, self.arguments.truncation)
        self.evictor.check(len(fit.context))
        return fit

    def _answers(self, doing: str, feeds: Sequence[Feed], answer: Callable[[Reading, int], Answered]) -> list[Any]:
        tally, protocol = Tally(), self.arguments.protocol
        for note in notes(self.evictor, feeds, protocol):
            print(f"lukv: {note}", file=sys.stderr)

        def record(events: Sequence[Event], number: int) -> None:
            feed = feeds[number]
            switch = switch_events(self.loaded.model, feed.n_prompt, feed.n_sequence)
            tally.add([*events, *switch], feed, protocol)

        answers = answer_all(self.evictor, doing, feeds, answer, record)
        self._tell(tally)
        return answers

    def _tell(self, tally: Tally) -> None:
        for line in tally.lines():
            print(f"lukv: {line}", file=sys.stderr)
        self.tally.absorb(tally)
