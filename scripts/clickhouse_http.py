#!/usr/bin/env python3
"""ClickHouse's HTTP interface over its engine in this process (PyPI `chdb`), for tests on machines without a server.

usage: clickhouse_http.py DATA_FOLDER PORT [USER PASSWORD]

The SQL, the tables and the formats are ClickHouse's own; only the way in is ours. It answers what ClickHouse's client
libraries ask over HTTP: /ping, queries in the URL or the body, INSERT … FORMAT with a streamed body, streamed results,
settings, {name:Type} parameters (in the URL or as multipart form), and errors with ClickHouse's codes. With USER and
PASSWORD it refuses everybody else.

Not here: compressed bodies, sessions, roles, more than one process on a data folder. Listens on 127.0.0.1 only.
"""

import base64
import email
import itertools
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb.state.sqlitelike import Connection

CHUNK = 1 << 20
# What the URL may say that is no setting.
RESERVED = {
    "query", "database", "default_format", "user", "password", "compress", "decompress", "query_id", "session_id",
    "session_timeout", "session_check", "role", "quota_key", "buffer_size", "wait_end_of_query", "stacktrace",
    "enable_http_compression",
}
COMMENTS = r"(?:/\*.*?\*/|--[^\n]*\n|\s)*"
IS_INSERT = re.compile(COMMENTS + r"INSERT\s", re.I | re.S)
IS_READ = re.compile(COMMENTS + r"\(?\s*(?:SELECT|WITH|FROM)\b", re.I | re.S)
FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*;?\s*$", re.I)
# An INSERT whose data follows its FORMAT clause in the same body.
INLINE_DATA = re.compile(rb"(.*?\sFORMAT\s+\w+)[ \t]*(?:\r?\n|$)(.*)$", re.I | re.S)
# Formats that come in pieces which may simply be joined, and how much header each piece repeats: (names, types).
STREAMED = {
    "rowbinary": None, "tabseparated": None, "tabseparatedraw": None, "csv": None, "jsoneachrow": None, "native": None,
    "rowbinarywithnames": (True, False), "rowbinarywithnamesandtypes": (True, True),
}
# ClickHouse's error codes that have an HTTP status of their own; every other is 500.
STATUS = {36: 400, 62: 400, 73: 400, 60: 404, 81: 404, 46: 404, 47: 404, 159: 408, 48: 501, 497: 403, 516: 403}


class Refused(Exception):
    """An error of ours, in ClickHouse's form."""

    def __init__(self, code, text):
        super().__init__(f"Code: {code}. DB::Exception: {text}")


def varint(data, at):
    """Reads a LEB128 number: (value, position behind it)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def header_length(data, types):
    """Bytes of the header that RowBinaryWithNames[AndTypes] starts with."""
    columns, at = varint(data, 0)
    for _ in range(columns * (2 if types else 1)):
        length, at = varint(data, at)
        at += length
    return at


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class Body:
    """The request's body in pieces, chunked or of known length; always read to its end, so the connection can go on."""

    def __init__(self, handler):
        self.stream = handler.rfile
        self.chunked = "chunked" in handler.headers.get("Transfer-Encoding", "").lower()
        self.left = int(handler.headers.get("Content-Length") or 0)
        self.pieces = self._chunks() if self.chunked else self._known()

    def __iter__(self):
        return self.pieces

    def all(self):
        return b"".join(self.pieces)

    def _chunks(self):
        while size := int(self.stream.readline().split(b";")[0], 16):
            yield self._exactly(size)
            self.stream.readline()
        while self.stream.readline() not in (b"\r\n", b"\n", b""):
            pass

    def _known(self):
        while self.left:
            piece = self._exactly(min(self.left, CHUNK))
            self.left -= len(piece)
            yield piece

    def _exactly(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError("the client went away in the middle of the body")
        return data


class Query:
    """One request, understood: the statement, what follows it, its parameters and settings."""

    def __init__(self, handler, arguments, body):
        if arguments.get("decompress") == "1":
            raise Refused(48, "compressed bodies are not supported here (NOT_IMPLEMENTED)")
        kind = handler.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            arguments = arguments | form_fields(kind, body.all())
        self.sql, self.data = statement(arguments.get("query", ""), body)
        self.database = arguments.get("database") or handler.headers.get("X-ClickHouse-Database")
        self.parameters = {key[6:]: value for key, value in arguments.items() if key.startswith("param_")}
        self.settings = {
            key: value for key, value in arguments.items() if key not in RESERVED and not key.startswith("param_")
        }
        named = FORMAT.search(self.sql)
        asked = arguments.get("default_format") or handler.headers.get("X-ClickHouse-Format")
        self.format = named.group(1) if named else asked or "TabSeparated"
        self.bare = self.sql[: named.start()] if named else self.sql
        self.takes_data = bool(named and IS_INSERT.match(self.sql) and not re.search(r"\bSELECT\b", self.sql, re.I))

    def open(self, folder):
        """A connection of its own, with the query's database and settings."""
        connection = Connection(folder)
        try:
            if self.database and self.database != "default":
                connection.query("USE `%s`" % self.database.replace("`", "``"))
            for name, value in self.settings.items():
                if not re.fullmatch(r"\w+", name):
                    raise Refused(115, f"setting {name!r} is no name (UNKNOWN_SETTING)")
                connection.query(f"SET {name} = {quoted(value)}")
        except BaseException:
            connection.close()
            raise
        return connection


def form_fields(kind, body):
    message = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    return {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True).decode()
        for part in message.get_payload()
    }


def statement(query, body):
    """The SQL, and the pieces of data that follow it. The body continues the query, or is an INSERT's data."""
    if IS_INSERT.match(query):
        return query, body
    text = body.all()
    if not query and IS_INSERT.match(text[:4096].decode("utf-8", "replace")):
        inline = INLINE_DATA.match(text)
        if inline and not re.search(rb"\b(VALUES|SELECT)\b", inline.group(1), re.I):
            return inline.group(1).decode(), [inline.group(2)]
    return query + ("\n" if query and text else "") + text.decode(), []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        url = urlsplit(self.path)
        arguments = dict(parse_qsl(url.query, keep_blank_values=True))
        body = Body(self)
        self.headers_sent = False
        try:
            if url.path == "/ping" or (url.path == "/" and not arguments and self.command == "GET"):
                body.all()
                return self.reply(200, b"Ok.\n")
            self.authenticate(arguments)
            query = Query(self, arguments, body)
            connection = query.open(self.server.folder)
            try:
                self.run(connection, query)
            finally:
                connection.close()
        except (BrokenPipeError, ConnectionError):
            self.close_connection = True
        except Exception as error:  # whatever the engine says
            self.fail(error, body)

    def authenticate(self, arguments):
        if not self.server.login:
            return
        user, password = arguments.get("user"), arguments.get("password")
        user = user or self.headers.get("X-ClickHouse-User")
        password = password or self.headers.get("X-ClickHouse-Key")
        scheme, _, value = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
        if (user or "default", password or "") != self.server.login:
            raise Refused(516, f"{user or 'default'}: Authentication failed (AUTHENTICATION_FAILED)")

    def run(self, connection, query):
        if query.takes_data:
            return self.insert(connection, query)
        # Results that cannot be cut into pieces, and everything that is no SELECT, come in one.
        if not IS_READ.match(query.sql) or query.format.lower() not in STREAMED:
            sql = query.bare if IS_READ.match(query.sql) else query.sql
            result = connection.query(sql, query.format, params=query.parameters).bytes()
            return self.reply(200, result, query.format)
        self.stream(connection, query)

    def insert(self, connection, query):
        insert = connection.send_insert(query.bare, query.format)
        try:
            for piece in query.data:
                insert.append(piece)
            done = insert.finish()
        except BaseException:
            insert.cancel()
            raise
        rows, size = str(done.rows_written), str(done.bytes_written)
        summary = {"read_rows": "0", "read_bytes": "0", "written_rows": rows, "written_bytes": size,
                   "total_rows_to_read": "0", "result_rows": rows, "result_bytes": size}
        self.reply(200, b"", more={"X-ClickHouse-Summary": json.dumps(summary)})

    def stream(self, connection, query):
        header = STREAMED[query.format.lower()]
        pieces = iter(connection.send_query(query.bare, query.format, params=query.parameters))
        first = next(pieces, None)
        if first is None:  # no rows: the header, if there is one, comes with the result in one piece
            result = connection.query(query.bare, query.format, params=query.parameters).bytes() if header else b""
            return self.reply(200, result, query.format)
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("X-ClickHouse-Format", query.format)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.headers_sent = True
        skip = header_length(first.bytes(), header[1]) if header else 0
        self.chunk(first.bytes())
        for piece in pieces:
            self.chunk(piece.bytes()[skip:])
        self.chunk(b"", last=True)

    def chunk(self, data, last=False):
        if data or last:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        if last:
            self.wfile.flush()

    def fail(self, error, body):
        text = str(error)
        text = text[max(text.find("Code: "), 0):] + f" (version {self.server.version} (chdb))\n"
        found = re.match(r"Code: (\d+)", text)
        code = int(found.group(1)) if found else 1000
        if self.headers_sent:  # in the middle of a result ClickHouse writes the error into it, and so do we
            self.chunk(text.encode())
            self.chunk(b"", last=True)
            self.close_connection = True
            return
        try:
            body.all()
        except (ConnectionError, ValueError):
            self.close_connection = True
        self.reply(STATUS.get(code, 500), text.encode(), more={"X-ClickHouse-Exception-Code": str(code)})

    def reply(self, status, body, form=None, more=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if form else "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in itertools.chain((more or {}).items(), [("X-ClickHouse-Format", form)] if form else []):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, folder, port, login):
        self.folder, self.login = folder, login
        self.root = Connection(folder)  # held open: with the last connection the engine would close the folder
        self.version = self.root.query("SELECT version()", "TabSeparated").bytes().decode().strip()
        super().__init__(("127.0.0.1", port), Handler)


def main():
    if len(sys.argv) not in (3, 5):
        sys.exit(__doc__)
    threading.stack_size(16 << 20)  # the engine's parser recurses
    folder, port, *login = sys.argv[1:]
    server = Server(folder, int(port), tuple(login))
    print(f"clickhouse engine {server.version} in {folder}, http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
