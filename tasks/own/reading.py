"""Reads a user's files of documents; every error is one sentence with the file and, where there is one, the line."""

from pathlib import Path

from ... import UserError

LARGEST = 256 * 2**20
"""Bytes of a file."""


def read_text(path: Path) -> str:
    """A file's UTF-8 text without a byte order mark.

    Raises:
        UserError: it is missing, no ordinary file, too large, or not UTF-8.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path} {'is no ordinary file' if path.exists() else 'is not there'}; name a text file.")
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path} is larger than {LARGEST // 2**20} MB; cut it into smaller files.")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8 text ({error.reason}); convert the file to UTF-8.") from None


def read_document(path: Path) -> str:
    """A text file that is a context, with plain line ends.

    Raises:
        UserError: as `read_text`, or it holds no text.
    """
    text = read_text(path).replace("\r\n", "\n")
    if not text.strip():
        raise UserError(f"{path} holds no text to ask about.")
    return text


def inside(folder: Path, name: str, place: str) -> Path:
    """The file that a row names, which must be in the folder of the row's own file or below it.

    Raises:
        UserError: it is elsewhere, or no file can have that name.
    """
    try:
        path = (folder / name).resolve()
        is_inside = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a loop of links
        raise UserError(f"{place}: context_file {name!r} cannot be a file ({error}).") from error
    if not is_inside:
        raise UserError(f"{place}: context_file {name!r} is outside of {folder}; put it beside the file that names it.")
    return path
