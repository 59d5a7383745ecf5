"""Renders a document as lm-eval does: its prompt and generation arguments."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from ...tasks.document import Document, later_turns, user_text
from ...tasks.load import LoadedTask
from ..engine.prompt import chat_form, render, render_turns
from ..record.hashing import content_hash


@dataclass(frozen=True)
class RenderedDocument:
    """A document of a task as rendered by lm-eval.

    Attributes:
        ordinal: Its index among the task's documents.
        prompt: The rendered prompt, including template and answer prefix.
        generation: lm-eval's generation arguments.
    """

    ordinal: int
    document: Document
    prompt: str
    generation: Mapping[str, Any]

    @cached_property
    def prompt_hash(self) -> str:
        """Hash of the rendered prompt."""
        return content_hash(self.prompt)

    @cached_property
    def generation_hash(self) -> str:
        """Hash of the generation arguments."""
        return content_hash(dict(self.generation))


def render_document(task: LoadedTask, ordinal: int, tokenizer: Any) -> RenderedDocument:
    """Make one document of a task and render it as lm-eval's `build_all_requests` does; a dialogue, for which lm-eval
    has no form, as the messages of the model's chat template.

    Raises:
        UserError: the document cannot be made.
    """
    document, lm_eval_task = task.documents[ordinal], task.lm_eval_task
    template = partial(render_turns, tokenizer) if chat_form(tokenizer, task.info.chat) == "chat" else None
    rules = {"apply_chat_template": template is not None, "chat_template": template}
    if later := later_turns(document):
        prompt = render(tokenizer, user_text(document), document["answer_prefix"], task.info.chat, later)
    else:
        prompt = lm_eval_task.fewshot_context(
            document, num_fewshot=0, gen_prefix=lm_eval_task.doc_to_prefix(document), **rules
        )
    request = lm_eval_task.construct_requests(
        doc=document, ctx=prompt, metadata=(task.info.name, ordinal, lm_eval_task.config.repeats), **rules
    )
    return RenderedDocument(ordinal, document, request.args[0], dict(request.args[1]))
