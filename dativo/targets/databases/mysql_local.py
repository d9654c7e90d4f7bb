"""LOAD DATA LOCAL with rows from memory: the server is never given a file, whatever name it asks for.

PyMySQL opens any file that the server names, so the exchange of packets is done here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dativo.errors import TargetError

# The name in the statement, which the server gives back when it asks for the content.
FILE = "dativo-rows"
_QUERY = 0x03
_ASKED = b"\xfb"


def send_local(client: Any, sql: str, pieces: Iterable[Any]) -> tuple[int, int]:
    """Runs a LOAD DATA LOCAL statement with these bytes as its file; rows that it loaded, and warnings that it gave."""
    packets: Any = __import__("pymysql.protocol", fromlist=["OKPacketWrapper"])
    client._execute_command(_QUERY, sql)
    asked = client._read_packet()
    content = asked.get_all_data()
    if not content.startswith(_ASKED) or content[1:] != FILE.encode():
        client._force_close()
        raise TargetError("the server asked for a file instead of the rows", hint="see which server it is")
    # A piece that cannot be made leaves the exchange in the middle: the session is good for nothing any more.
    for piece in pieces:
        client.write_packet(bytes(piece))
    # An empty packet is the end of the file.
    client.write_packet(b"")
    done = client._read_packet()
    told = packets.OKPacketWrapper(done)
    return int(told.affected_rows), int(told.warning_count)
