"""Conditions that several questions share."""

from sqlalchemy import ColumnElement, and_, select

from ..comparable import Setting
from ..schema import Configuration, Model


def has_setting(setting: Setting) -> ColumnElement[bool]:
    """Whether a row of `Configuration` is of a setting; the columns are those of an index."""
    model = select(Model.revision).where(Model.revision == setting.model_revision, Model.name == setting.model)
    return and_(
        Configuration.model_revision == setting.model_revision,
        Configuration.dtype == setting.dtype,
        Configuration.protocol == setting.protocol,
        Configuration.seed == setting.seed,
        Configuration.code_version == setting.code_version,
        model.exists(),
    )
