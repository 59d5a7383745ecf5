"""A rendered sample, cut where its context ends: the same check for what is run and for what is exported."""

from ... import UserError
from ...tasks.load import LoadedTask
from ..engine.prompt import Prompt, chat_form, split
from ..models.load import PromptModel
from .lmeval import RenderedSample


def cut_sample(task: LoadedTask, sample: RenderedSample, model: PromptModel) -> Prompt:
    """The sample's tokens, in two parts.

    Raises:
        UserError: the prompt does not hold its context, has nothing on one side of its end, or opens thoughts that
            are off.
    """
    info, document = task.info, sample.document
    try:
        model.thinking.behind(sample.prompt, chat_form(model.tokenizer, info.chat) == "chat")
        return split(
            model.tokenizer,
            sample.prompt,
            str(document["context"]),
            question=str(document["question"]),
            chat=info.chat,
        )
    except UserError as error:
        raise UserError(f"sample {sample.ordinal} of {info.name}: {error}") from error
