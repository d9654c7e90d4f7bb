"""Files as a stream of UTF-8: opened, decompressed and transcoded piece by piece, never as a whole."""

from __future__ import annotations

import codecs
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from dativo.errors import SourceError
from dativo.sources.input import InputFile, seekable

PIECE = 4 << 20
# A few bytes of Zstandard can stand for a hundred thousand: it is fed in small bites so that memory stays bounded.
_ZSTD_BITE = 8 << 10

_BOMS = [
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
]
# What gzip, zstandard and the methods of zip archives raise for damaged or unknown content.
_FOREIGN = (
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, KeyError,
)  # fmt: skip
_MAGIC = [(b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip")]


def compression_of(file: InputFile, option: str) -> str:
    """The file's compression: what the option says, or what its first bytes tell."""
    if option != "auto":
        return option
    head = file.open().read(0, 4)
    return next((name for magic, name in _MAGIC if head.startswith(magic)), "none")


def members(file: InputFile, option: str) -> list[InputFile]:
    """The file itself, or for a zip archive each file inside it."""
    if compression_of(file, option) != "zip":
        return [file]
    try:
        with zipfile.ZipFile(seekable(file.open())) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir() and not _is_clutter(i.filename)]
    except (zipfile.BadZipFile, OSError) as error:
        raise SourceError(
            f"'{file.name}' is not a zip archive: {error}", hint="check the option 'compression'"
        ) from None
    if not infos:
        raise SourceError(f"the archive '{file.name}' holds no file")
    twice = next((n for n, count in Counter(i.filename for i in infos).items() if count > 1), None)
    if twice is not None:
        raise SourceError(f"the archive '{file.name}' holds two files named '{twice}'", hint="pack it again")
    if any(i.flag_bits & 1 for i in infos):
        raise SourceError(f"the archive '{file.name}' is encrypted", hint="decrypt it first")
    return [file.inside(i.filename, i.file_size) for i in infos]


def is_plain(file: InputFile, compression: str, encoding: str) -> bool:
    """Whether the file's bytes are its text in UTF-8, so that they can be read in place."""
    return compression_of(file, compression) == "none" and text_encoding(file, compression, encoding) == "utf-8"


def text_encoding(file: InputFile, compression: str, encoding: str) -> str:
    """The file's encoding: a byte order mark wins over utf-8, the option over everything else."""
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        head, _ = _first(_raw(file, compression, 4), 4)
        found = next((known for bom, known in _BOMS if head.startswith(bom)), None)
        if found is not None:
            return found
        return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)
    return name


def bom_length(file: InputFile) -> int:
    """The length of a UTF-8 byte order mark at the file's start."""
    return 3 if file.open().read(0, 3) == b"\xef\xbb\xbf" else 0


def utf8_pieces(file: InputFile, compression: str, encoding: str, piece: int | None = None) -> Iterator[bytes]:
    """The file's text as UTF-8 without a byte order mark, in pieces of about `piece` bytes.

    UTF-8 is passed on as it is, invalid bytes included: the reader of records tells which record they stand in. Other
    encodings raise SourceError with the place of the first invalid byte.
    """
    name = text_encoding(file, compression, encoding)
    pieces = _raw(file, compression, piece or PIECE)
    if name == "utf-8":
        first, pieces = _first(pieces, 3)
        yield first.removeprefix(b"\xef\xbb\xbf")
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(name)()
    done, start = 0, True
    for data in _then_end(pieces):
        # What the decoder kept of the piece before counts into the error's place.
        kept = len(decoder.getstate()[0])
        try:
            text = decoder.decode(data or b"", final=data is None)
        except UnicodeError as error:
            offset = done - kept + getattr(error, "start", 0)
            raise SourceError(
                f"'{file.name}' is not {name}: byte {offset} cannot be read",
                hint="check the option 'encoding'",
                field="source.engine.options.encoding",
            ) from None
        done += len(data or b"")
        if start and text:
            text, start = text.removeprefix("\ufeff"), False
        if text:
            yield text.encode("utf-8", "surrogatepass")


def _first(pieces: Iterator[bytes], length: int) -> tuple[bytes, Iterator[bytes]]:
    """At least the first `length` bytes, as far as there are so many, and the pieces after them."""
    head = b""
    while len(head) < length and (more := next(pieces, None)) is not None:
        head += more
    return head, pieces


def _then_end(pieces: Iterator[bytes]) -> Iterator[bytes | None]:
    yield from pieces
    yield None


def _raw(file: InputFile, compression: str, piece: int) -> Iterator[bytes]:
    """The file's bytes, decompressed; foreign errors are translated here."""
    kind = compression_of(file, compression)
    try:
        yield from _OPENERS[kind](file, piece)
    except _FOREIGN as error:
        if isinstance(error, OSError) and error.errno:
            raise SourceError(f"'{file.name}' cannot be read: {error.strerror}") from None
        raise SourceError(
            f"'{file.name}' is damaged: {kind} says {str(error) or type(error).__name__}", hint="fetch the file again"
        ) from None


def _plain(file: InputFile, piece: int) -> Iterator[bytes]:
    yield from file.open().pieces(0, piece)


def _gzip(file: InputFile, piece: int) -> Iterator[bytes]:
    """Gzip, several members one after the other included."""
    inflater = zlib.decompressobj(wbits=31)
    ended = False
    for data in file.open().pieces(0, max(piece // 4, 1 << 16)):
        rest = data
        while rest:
            if ended:
                rest = rest.lstrip(b"\0")  # padding after the last member is allowed
                if not rest:
                    break
                inflater, ended = zlib.decompressobj(wbits=31), False
            out = inflater.decompress(rest, piece)
            if out:
                yield out
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            ended = inflater.eof
    if not ended:
        raise EOFError("the end is missing")


def _zstd(file: InputFile, piece: int) -> Iterator[bytes]:
    """Zstandard, several frames one after the other included.

    The library's own reader takes the end of the file for the end of the frame, so a frame's end is looked for here.
    """
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    frame = None
    for data in file.open().pieces(0, max(piece // 4, 1 << 16)):
        for start in range(0, len(data), _ZSTD_BITE):
            rest = data[start : start + _ZSTD_BITE]
            while rest:
                frame = frame or decompressor.decompressobj()
                try:
                    out = frame.decompress(rest)
                except zstandard.ZstdError as error:
                    raise ValueError(str(error)) from None
                if out:
                    yield out
                rest = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError("the end is missing")


def _zip(file: InputFile, piece: int) -> Iterator[bytes]:
    archive = zipfile.ZipFile(seekable(file.open()))
    with archive, archive.open(file.member or archive.namelist()[0]) as stream:
        while data := stream.read(piece):
            yield data


_OPENERS: dict[str, Callable[[InputFile, int], Iterator[bytes]]] = {
    "none": _plain,
    "gzip": _gzip,
    "zstd": _zstd,
    "zip": _zip,
}


def _is_clutter(name: str) -> bool:
    return name.startswith("__MACOSX/") or Path(name).name.startswith(".")
