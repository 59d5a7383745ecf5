"""What a profile holds: LU-KV's curves, for instance."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sqlalchemy import Text, cast, select

from ..arrays import unpack_arrays
from ..database import Database
from ..readable import parsed
from ..schema import Profile


class ProfileCurves(NamedTuple):
    """A profile as stored.

    Attributes:
        scorer: That it was fitted for, None = for any.
        details: How it was made.
        arrays: float32 by name (LU-KV's curves: [targets, L, H]); empty where the record keeps none.
    """

    scorer: str | None
    details: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[np.float32]]


def read_profile_curves(db: Database, profile_hash: str) -> ProfileCurves | None:
    """The profile with this hash; None where there is none, or what is stored are no arrays."""
    query = select(Profile.scorer, cast(Profile.details, Text), Profile.arrays).where(Profile.hash == profile_hash)
    with db.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    scorer, text, packed = row
    details = parsed(text)
    try:
        arrays = {} if packed is None else unpack_arrays(packed)
    except ValueError:
        return None
    return ProfileCurves(scorer, details if isinstance(details, dict) else {}, arrays)
