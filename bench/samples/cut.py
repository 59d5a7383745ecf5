"""Cuts a rendered document where its context ends, for runs and for exports."""

from ... import UserError
from ...tasks.load import LoadedTask
from ..engine.prompt import Prompt, chat_form, split
from ..models.load import PromptModel
from .rendering import RenderedDocument


def cut_document(task: LoadedTask, rendered: RenderedDocument, model: PromptModel) -> Prompt:
    """The tokens of context and question.

    Raises:
        UserError: the prompt does not hold its context, has nothing on one side of its end, or opens thoughts that
            are off.
    """
    info, document = task.info, rendered.document
    is_chat = chat_form(model.tokenizer, info.chat) == "chat"
    try:
        model.thinking.behind(rendered.prompt, is_chat)
        return split(
            model.tokenizer, rendered.prompt, document["context"], question=document["question"], chat=info.chat
        )
    except UserError as error:
        raise UserError(f"sample {rendered.ordinal} of {info.name}: {error}") from error
